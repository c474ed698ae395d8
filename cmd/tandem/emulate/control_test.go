package emulate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"

	"tandem"
)

// ask sends one request to a control API.
func ask(t *testing.T, method, url, body string, headers ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(deadline(t), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		}
		req.Header.Set(headers[i], headers[i+1])
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func TestControlAPI(t *testing.T) {
	callee := newCarrier(t, "25", nil)
	c := newCarrier(t, "24", func(c *CarrierConfig) {
		c.Control = netip.MustParseAddrPort("127.0.0.1:0")
		c.SBC = callee.Addr()
	})
	base := "http://" + c.ControlAddr().String()
	for _, s := range []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		want                     string
	}{
		{"State", "GET", "/state", "", nil, 200, `"kind": "carrier"`},
		{"Call", "POST", "/calls", `{"from":"+12065550100","to":"+12065550199","hold":"20ms"}`, nil, 200, `"status": 200`},
		{"CallAsync", "POST", "/calls?async=1", `{"from":"+12065550100","to":"+12065550199","hold":"20ms"}`, nil, 202, `"id": "2"`},
		{"Calls", "GET", "/calls", "", nil, 200, `"id": "1"`},
		{"OneCall", "GET", "/calls/1", "", nil, 200, "INVITE sip:+12065550199"},
		{"NoSuchCall", "GET", "/calls/99", "", nil, 404, "no such call"},
		{"UnknownField", "POST", "/calls", `{"form":"x"}`, nil, 422, "unknown field"},
		{"BadDuration", "POST", "/calls", `{"to":"+12065550199","hold":"2 seconds"}`, nil, 422, "unit"},
		{"HeaderInjection", "POST", "/calls", `{"from":"+1","to":"+12\r\nX: y"}`, nil, 422, "numbers"},
		{"BadTone", "POST", "/calls", `{"from":"+1","to":"+12","tone_hz":33}`, nil, 422, "cannot be played"},
		{"Fault", "PUT", "/faults", `{"fault":"503","retry_after":3}`, nil, 200, `"retry_after": 3`},
		{"FaultUnknown", "PUT", "/faults", `{"fault":"explode"}`, nil, 422, "blackhole"},
		{"FaultListener", "PUT", "/faults", `{"fault":"503","listener":"sip9"}`, nil, 404, "no listener"},
		{"Faults", "GET", "/faults", "", nil, 200, `"status": 503`},
		{"ClearFault", "DELETE", "/faults?fault=503", "", nil, 200, "[]"},
		{"Violations", "GET", "/violations", "", nil, 200, ""},
		{"Files", "GET", "/files", "", nil, 200, "{}"},
		{"Load", "POST", "/load", `{"from":"+12065550100","to":"+12065550199","media":"none","rate":50,"for":"100ms"}`, nil, 200, `"answered": 5`},
		{"LoadTooFast", "POST", "/load", `{"to":"+1","rate":5000000,"for":"1s"}`, nil, 422, "calls/s"},
		{"Forget", "DELETE", "/calls", "", nil, 200, "[]"},
		{"WebPage", "GET", "/state", "", []string{"Origin", "http://evil.test"}, 403, "web page"},
		{"ReboundName", "GET", "/state", "", []string{"Host", "evil.test"}, 403, "loopback"},
		{"TooLarge", "PUT", "/faults", `{"fault":"` + strings.Repeat("x", maxBody) + `"}`, nil, 422, "too large"},
	} {
		t.Run(s.name, func(t *testing.T) {
			status, body := ask(t, s.method, base+s.path, s.body, s.headers...)
			if status != s.status || !strings.Contains(body, s.want) {
				t.Errorf("%d %s, want %d and %q", status, body, s.status, s.want)
			}
			if !json.Valid([]byte(body)) {
				t.Errorf("not JSON: %s", body)
			}
		})
	}
	eventually(t, "calls over", func() bool { return c.Active() == 0 })
}

func TestControlFilesOfTeams(t *testing.T) {
	teams := newTeams(t, func(c *TeamsConfig) { c.Control = netip.MustParseAddrPort("127.0.0.1:0") })
	status, body := ask(t, "GET", "http://"+teams.ControlAddr().String()+"/files", "")
	var files map[string]string
	if err := json.Unmarshal([]byte(body), &files); err != nil || status != 200 {
		t.Fatal(status, body, err)
	}
	for _, name := range []string{"ca", "certificate", "key"} {
		text, err := os.ReadFile(files[name])
		if err != nil || !bytes.Contains(text, []byte("-----BEGIN ")) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestConfigDefaultsAreValid(t *testing.T) {
	teams, carrier := DefaultTeamsConfig(), DefaultCarrierConfig()
	if err := teams.Validate(); err != nil {
		t.Error(err)
	}
	if err := carrier.Validate(); err != nil {
		t.Error(err)
	}
}

func TestTeamsConfigReportsEveryMistake(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*TeamsConfig)
		field string
	}{
		"NoListener":    {func(c *TeamsConfig) { c.Listeners = nil }, "listeners"},
		"PublicAddress": {func(c *TeamsConfig) { c.Listeners[0].Address = netip.MustParseAddrPort("0.0.0.0:5061") }, "listeners[0].address"},
		"BadName":       {func(c *TeamsConfig) { c.Listeners[1].Name = "a b" }, "listeners[1].name"},
		"Transport":     {func(c *TeamsConfig) { c.Transport = "SCTP" }, ""},
		"Mode":          {func(c *TeamsConfig) { c.Mode = "other" }, "mode"},
		"NoCA":          {func(c *TeamsConfig) { c.CADir = "" }, "ca_dir"},
		"TenantID":      {func(c *TeamsConfig) { c.Tenants[0].ID = tandem.TenantID{} }, "tenants[0].id"},
		"UserNumber":    {func(c *TeamsConfig) { c.Tenants[0].Users[0].Number = "x y" }, "tenants[0].users[0].number"},
		"Status":        {func(c *TeamsConfig) { c.Behaviour.Status = 100 }, "behaviour.status"},
		"Media":         {func(c *TeamsConfig) { c.Behaviour.Media = "song" }, "behaviour.media"},
		"Tone":          {func(c *TeamsConfig) { c.Behaviour.ToneHz = 440 }, "behaviour.tone_hz"},
		"HangUp":        {func(c *TeamsConfig) { c.Behaviour.HangUpBy = "both" }, "behaviour.hang_up_by"},
		"PublicControl": {func(c *TeamsConfig) { c.Control = netip.MustParseAddrPort("192.0.2.1:80") }, "control"},
		"TooManyForks":  {func(c *TeamsConfig) { c.Behaviour.Forks = 99 }, "behaviour.forks"},
		"LongTrunkFQDN": {func(c *TeamsConfig) { c.TrunkFQDN = strings.Repeat("x", 64) }, "trunk_fqdn"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := DefaultTeamsConfig()
			c.spoil(&cfg)
			err := cfg.Validate()
			if err == nil || !strings.Contains(err.Error(), c.field) {
				t.Errorf("error %v does not name %s", err, c.field)
			}
			if tandem.KindOf(err) != tandem.KindInvalid {
				t.Errorf("kind %s", tandem.KindOf(err))
			}
		})
	}
	bad := DefaultCarrierConfig()
	bad.Name, bad.Transport = "", "TLS"
	if err := bad.Validate(); err == nil || strings.Count(fmt.Sprint(err), "\n") != 1 {
		t.Errorf("two mistakes, reported: %v", err)
	}
}
