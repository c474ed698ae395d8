package portal_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"tandem/provisioning"
	"tandem/provisioning/api"
	"tandem/provisioning/portal"
	"tandem/provisioning/provtest"
)

// TestInBrowser loads every page in headless Chromium, through the API's guard
// as users do: contents are there, nothing is asked from elsewhere, and the
// console stays empty. With TANDEM_SCREENSHOTS=FOLDER it keeps pictures.
func TestInBrowser(t *testing.T) {
	binary, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed: apt-get install chromium runs this test")
	}
	noEngine := false
	reports := &provtest.Reports{Rows: provtest.Calls(60)}
	svc := provtest.Service(func(d *provisioning.Deps) {
		d.Reports = func() provisioning.Reports {
			if noEngine {
				return nil
			}
			return reports
		}
	})
	pages, err := portal.New(svc, portal.Config{})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(api.New(svc, api.Config{Loopback: true, Token: "t", Portal: pages}))
	defer server.Close()

	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(binary), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.NoFirstRun, chromedp.UserDataDir(t.TempDir()))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	defer cancel()
	ctx, cancel = chromedp.NewContext(ctx)
	defer cancel()
	var mu sync.Mutex
	var complaints []string
	complain := func(s string) {
		mu.Lock()
		defer mu.Unlock()
		complaints = append(complaints, s)
	}
	err = chromedp.Listen(ctx, func(ev any) { // starts the browser
		switch ev := ev.(type) {
		case *runtime.EventExceptionThrown:
			complain("exception: " + ev.ExceptionDetails.Text)
		case *runtime.EventConsoleAPICalled:
			complain(fmt.Sprintf("console.%s", ev.Type))
		case *cdplog.EventEntryAdded:
			complain("log: " + ev.Entry.Text + " " + ev.Entry.URL)
		case *network.EventRequestWillBeSent:
			if !strings.HasPrefix(ev.Request.URL, server.URL) && !strings.HasPrefix(ev.Request.URL, "data:") {
				complain("asked " + ev.Request.URL)
			}
		case *page.EventJavascriptDialogOpening:
			complain("dialog: " + ev.Message)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel = context.WithTimeout(ctx, 90*time.Second) // of the pages, not of the browser
	defer cancel()
	scheme := func(s string) chromedp.Action[chromedp.Void] {
		return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
			_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
				Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: s}}})
			return err
		})
	}
	for _, v := range []struct {
		name, target string
		width        int64
		scheme       string
		noEngine     bool
		want         []string
	}{
		{"overview", "/", 1280, "light", false, []string{"Detailed report", "Operator Connect", "sip2.pstnhub.microsoft.com:5061", "Failsafe", "Older"}},
		{"overview-dark", "/", 1280, "dark", false, []string{"Trunks"}},
		{"overview-phone", "/", 390, "light", false, []string{"Detailed report"}},
		{"overview-no-engine", "/", 1280, "light", true, []string{"Not available now", "install-chdb.sh"}},
		{"log", "/log", 1280, "light", false, []string{"486 Busy Here", "destination out of order", "<script>alert('x')</script>"}},
		{"call", "/calls/0d9e3c52-6f0e-4c0e-9d3a-000000000500", 1280, "light", false, []string{"Why this route", "Why this price", "connection refused"}},
		{"call-hostile", "/calls/0d9e3c52-6f0e-4c0e-9d3a-000000000502", 1280, "dark", false, []string{"<img src=x onerror=alert(1)>"}},
	} {
		noEngine = v.noEngine
		err := chromedp.Do(ctx, chromedp.EmulateViewport(v.width, 900), scheme(v.scheme), chromedp.Navigate(server.URL+v.target), chromedp.WaitReady(chromedp.CSS("main")))
		if err != nil {
			t.Fatalf("%s: %v", v.name, err)
		}
		text := run(t, ctx, chromedp.Text(chromedp.CSS("main")))
		// Wide tables scroll in their own frame; the page itself never sideways.
		overflow := run(t, ctx, chromedp.Evaluate[bool](`document.documentElement.scrollWidth > document.documentElement.clientWidth`))
		shot := run(t, ctx, chromedp.CaptureScreenshot())
		for _, want := range v.want {
			if !strings.Contains(text, want) {
				t.Errorf("%s lacks %q", v.name, want)
			}
		}
		if overflow {
			t.Errorf("%s scrolls sideways at %d px", v.name, v.width)
		}
		if dir := os.Getenv("TANDEM_SCREENSHOTS"); dir != "" {
			if err := os.WriteFile(dir+"/"+v.name+".png", shot, 0o600); err != nil {
				t.Error(err)
			}
		}
	}

	// The filter works as a person uses it, and a report row leads to its call.
	noEngine = false
	err = chromedp.Do(ctx, chromedp.Navigate(server.URL+"/"), chromedp.SetValue(chromedp.CSS(`select[name=technology]`), "Phone"),
		chromedp.SendKeys(chromedp.CSS(`input[name=number]`), "+1 (206) 555-0199"), chromedp.Click(chromedp.CSS(`.filter button`)),
		chromedp.WaitVisible(`//a[text()="Clear"]`))
	if err != nil {
		t.Fatal(err)
	}
	text := run(t, ctx, chromedp.Text(chromedp.CSS("table.calls")))
	if err := chromedp.Do(ctx, chromedp.Click(chromedp.CSS(`table.calls tbody th a`)), chromedp.WaitVisible(chromedp.CSS(`#route`))); err != nil {
		t.Fatal(err)
	}
	where := run(t, ctx, chromedp.Location())
	if !strings.Contains(text, "+12065550199") || strings.Contains(text, "Operator Connect") || !strings.Contains(where, "/calls/") {
		t.Errorf("filtered table:\n%s\nthen at %s", text, where)
	}
	mu.Lock()
	defer mu.Unlock()
	for _, c := range complaints {
		t.Error(c)
	}
}

func run[T any](t *testing.T, ctx context.Context, a chromedp.Action[T]) T {
	t.Helper()
	v, err := chromedp.Run(ctx, a)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
