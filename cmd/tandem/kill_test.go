package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"tandem"
	"tandem/cmd/tandem/emulate"
	"tandem/provisioning"
	"tandem/provisioning/api/client"
)

// process is a tandem in a process of its own, which can be killed.
type process struct {
	cmd *exec.Cmd
	log *testLog
}

func startProcess(t *testing.T, config string) *process {
	t.Helper()
	p := &process{log: &testLog{}}
	p.cmd = exec.Command(os.Args[0], "serve", "--config", config)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		if t.Failed() {
			t.Logf("process log:\n%s", tail(p.log.String(), 60))
		}
	})
	return p
}

// waitUp waits until the node answers.
func waitUp(t *testing.T, api *client.Client, p *process) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		var trunks items[provisioning.TrunkState]
		err := api.Get(t.Context(), "/api/v1/trunks", nil, &trunks)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("node does not come up: %v\n%s", err, p.log)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// TestKilledMidRun kills tandem with SIGKILL under load and starts it again: no
// call that SIPp saw connected is missing from the rows, none is doubled.
func TestKilledMidRun(t *testing.T) {
	needSIPp(t)
	library := needEngine(t)
	net, data := testNet(), t.TempDir()
	rate, secs := 30, 24
	if testing.Short() {
		rate, secs = 5, 12
	}

	settings := stageOptions{data: data, net: net, log: newLogger(io.Discard, LogConfig{}), say: t.Logf, teams: quietTeams}
	s := &stage{}
	if err := s.startTeams(settings); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	config := writeNodeConfig(t, s.teams, net, data, library)
	p := startProcess(t, config)
	base := "http://" + net + ".1:8080"
	waitUp(t, client.New(base, "", nil), p)
	token, err := os.ReadFile(filepath.Join(data, tokenFile))
	if err != nil {
		t.Fatal(err)
	}
	api := client.New(base, strings.TrimSpace(string(token)), nil)
	document := filepath.Join(t.TempDir(), "customers.yaml")
	text := unprobedCarriers(bytes.ReplaceAll(demoCustomers, []byte("127.0.0."), []byte(net+".")))
	if err := os.WriteFile(document, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := api.Apply(t.Context(), document, false); err != nil {
		t.Fatal(err)
	}

	// Calls cut by the kill hear nothing any more: SIPp gives them up after 8 s.
	uas := startSIPp(t, "uas.xml", "-recv_timeout", "8000", "-i", net+".21", "-p", "5060", "-mp", "42000")
	uac := startSIPp(t, "uac.xml", "-inf", injection(t, [2]string{outsideNumber, "+14255550101"}, [2]string{outsideNumber, "+14255550102"}),
		"-i", net+".21", "-p", "5070", "-mp", "44000", "-r", itoa(rate), "-m", itoa(rate*secs), "-recv_timeout", "8000", net+".1:5060")
	ctx, stop := context.WithTimeout(t.Context(), time.Duration(secs+20)*time.Second)
	defer stop()
	loaded := make(chan struct{})
	go func() {
		defer close(loaded)
		_, _ = s.teams.Load(ctx, emulate.LoadSpec{CallSpec: emulate.CallSpec{From: "+14255550101", To: outsideNumber, Media: emulate.MediaNone,
			Hold: tandem.Duration(900 * time.Millisecond), Timeout: tandem.Duration(5 * time.Second)}, Rate: float64(rate) / 2, For: tandem.Duration(time.Duration(secs) * time.Second)})
	}()

	<-time.After(time.Duration(secs) * time.Second / 3)
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = p.cmd.Wait()
	p = startProcess(t, config)
	waitUp(t, api, p)

	<-loaded
	select {
	case <-uac.done: // calls cut by the kill fail in SIPp: its exit code says nothing here
	case <-time.After(90 * time.Second):
		t.Error("sipp does not end")
	}
	uas.finish(t)
	callers, callees := uac.history(t), uas.history(t)
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = p.cmd.Wait()

	node, err := StartNode(t.Context(), mustLoad(t, config), newLogger(io.Discard, LogConfig{}))
	if err != nil {
		t.Fatal(err)
	}
	s.node = node
	rows := s.rows(t, tandem.CDRFilter{Connected: true})
	checkHistory(t, callers, rows, 0)
	checkHistory(t, callees, rows, 1)
	checkCharges(t, rows)
	s.checkBooks(t, rows)
	all := s.rows(t, tandem.CDRFilter{})
	if n := plainCount(t, s.node); n != len(all) {
		t.Errorf("plain count() gives %d rows, FINAL %d: rows were doubled", n, len(all))
	}
	recovered := 0
	for _, r := range rows {
		if r.Recovered {
			recovered++
		}
	}
	t.Logf("%d callers and %d callees in SIPp's history, %d connected rows, %d of them recovered", len(callers), len(callees), len(rows), recovered)
	if recovered == 0 {
		t.Error("no call was up when tandem was killed: the test proves nothing")
	}
}

func mustLoad(t *testing.T, path string) Config {
	t.Helper()
	c, err := LoadConfig(path)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// writeNodeConfig writes a tandem.yaml for a node that trusts the emulator.
func writeNodeConfig(t *testing.T, teams *emulate.Teams, net, data, library string) string {
	t.Helper()
	files := teams.Files()
	text := fmt.Sprintf(`node: test
data: %s
sip:
  listen:
    - {transport: udp, address: "%[2]s.1:5060"}
    - {transport: tcp, address: "%[2]s.1:5060"}
    - {transport: tls, address: "%[2]s.1:5061"}
  certificates:
    - {name: default, cert: %[3]s, key: %[4]s}
  roots: [%[5]s]
media:
  address: %[2]s.1
clickhouse:
  library: %[6]s
http:
  address: "%[2]s.1:8080"
records:
  checkpoint_every: 1s
`, data, net, files["certificate"], files["key"], files["ca"], library)
	path := filepath.Join(t.TempDir(), "tandem.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// plainCount counts stored rows without FINAL, past our own reports: doubled rows would show.
func plainCount(t *testing.T, n *Node) int {
	t.Helper()
	conn, err := clickhouse.Open(&clickhouse.Options{Protocol: clickhouse.HTTP, Addr: []string{"embedded-engine:8123"},
		TransportFunc: func(*http.Transport) (http.RoundTripper, error) { return n.chdb.RoundTripper(), nil }})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var count uint64
	if err := conn.QueryRow(t.Context(), "SELECT count() FROM cdr").Scan(&count); err != nil {
		t.Fatal(err)
	}
	return int(count)
}
