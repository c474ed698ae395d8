package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"tandem"
	"tandem/cmd/tandem/emulate"
)

// TestPortalOfARunningNode places a normal and a failsafe call and reads them in
// headless Chromium as a person would: both rows of each in the report, the
// reasons on the page of the call, nothing on the console. With
// TANDEM_SCREENSHOTS=FOLDER it keeps pictures. The pages' own test is
// provisioning/portal/browser_test.go; this one has the real parts behind them.
func TestPortalOfARunningNode(t *testing.T) {
	if testing.Short() {
		t.Skip("whole program")
	}
	b := newBrowser(t)
	s := newStage(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	spec := emulate.CallSpec{From: outsideNumber, To: "+14255550101", Hold: tandem.Duration(1200 * time.Millisecond)}
	normal := s.placed(ctx, t, spec)
	if err := s.teams.SetFault(emulate.Fault{Kind: emulate.FaultResetRinging, Delay: tandem.Duration(200 * time.Millisecond)}); err != nil {
		t.Fatal(err)
	}
	failsafe := s.placed(ctx, t, spec)
	b.origin = s.node.URL()

	text := b.page(t, "overview", "/")
	for _, want := range []string{"Detailed report", "carrier-east", "sip.pstnhub.test:5061", "journal", "pipeline", "engine"} {
		if !strings.Contains(text, want) {
			t.Errorf("the overview lacks %q", want)
		}
	}
	for id, want := range map[string][][]string{
		normal:   {{"Phone", outsideNumber, "+14255550101", "0:0", "0.000450 USD", "contoso"}, {"Operator Connect", outsideNumber, "+14255550101", "0:0", "0.000000 USD", "contoso"}},
		failsafe: {{"Phone", outsideNumber, "+14255550101", "0:0", "0.000450 USD", "contoso"}, {"Phone", "Failsafe", outsideNumber, "+12065550199", "0:0", "0.012500 USD", "contoso"}},
	} {
		rows := b.rowsOf(t, id)
		if len(rows) != len(want) {
			t.Errorf("call %s has %d rows in the report, want %d: %q", id, len(rows), len(want), rows)
			continue
		}
		for i, cells := range want {
			for _, cell := range cells {
				if !strings.Contains(rows[i], cell) {
					t.Errorf("row %d of call %s lacks %q: %q", i+1, id, cell, rows[i])
				}
			}
		}
	}

	text = b.page(t, "log", "/log")
	if !strings.Contains(text, "failed network") || !strings.Contains(text, "B1") {
		t.Errorf("the log lacks the failed attempt:\n%s", text)
	}
	if got := len(b.rowsOf(t, failsafe)); got != 5 {
		t.Errorf("the failsafe call has %d rows in the log, want 5: caller, three Microsoft addresses, failsafe number", got)
	}

	// From the report to the page of a call, by a click.
	b.do(t, chromedp.Navigate(b.origin+"/"), chromedp.Click(fmt.Sprintf(`//a[@href="/calls/%s"]`, failsafe)), chromedp.WaitVisible(chromedp.CSS("#route")))
	text = b.shot(t, "call-failsafe")
	wantInOrder(t, text, "Why this route", "+14255550101 belongs to account contoso", "if Microsoft can't be reached, +12065550199 is called over Carrier East",
		"A-leg", "Why this price", "inbound call to +14255550101", "0.000450 USD", "B-leg, attempt 1", "Operator Connect", "failed network", "attempts are free of charge",
		"B-leg, attempt 4", "Failsafe", "+12065550199", "failsafe forward to +12065550199", "0.012500 USD")
	text = b.page(t, "call", "/calls/"+normal)
	wantInOrder(t, text, "Why this route", "Why this price", "prefix 1 (US voice DID) of deck retail-in version 1", "0.000450 USD", "the charge stands on its Phone row")
	for _, complaint := range b.complaints() {
		t.Error(complaint)
	}
}

func wantInOrder(t *testing.T, text string, want ...string) {
	t.Helper()
	rest := text
	for _, w := range want {
		_, after, found := strings.Cut(rest, w)
		if !found {
			t.Errorf("lacks %q (in this order) in:\n%s", w, text)
			return
		}
		rest = after
	}
}

// browser is one tab of headless Chromium and what its console said.
type browser struct {
	ctx    context.Context
	origin string

	mu   sync.Mutex
	said []string
	seen []string // URLs asked for
}

func newBrowser(t *testing.T) *browser {
	t.Helper()
	binary, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed: `make setup-test` does it")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(binary), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.NoFirstRun, chromedp.UserDataDir(t.TempDir()))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	b := &browser{}
	err = chromedp.Listen(ctx, func(ev any) { // starts the browser
		b.mu.Lock()
		defer b.mu.Unlock()
		switch ev := ev.(type) {
		case *runtime.EventExceptionThrown:
			b.said = append(b.said, "exception: "+ev.ExceptionDetails.Text)
		case *runtime.EventConsoleAPICalled:
			b.said = append(b.said, "console: "+string(ev.Type))
		case *cdplog.EventEntryAdded:
			b.said = append(b.said, "log: "+ev.Entry.Text+" "+ev.Entry.URL)
		case *network.EventRequestWillBeSent:
			b.seen = append(b.seen, ev.Request.URL)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	b.ctx, cancel = context.WithTimeout(ctx, 60*time.Second)
	t.Cleanup(cancel)
	return b
}

// complaints are what the console said, and requests that went elsewhere.
func (b *browser) complaints() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := slices.Clone(b.said)
	for _, url := range b.seen {
		if !strings.HasPrefix(url, b.origin+"/") && !strings.HasPrefix(url, "data:") {
			all = append(all, "asked "+url)
		}
	}
	return all
}

func (b *browser) do(t *testing.T, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		t.Fatal(err)
	}
}

// page opens a page and returns its text.
func (b *browser) page(t *testing.T, name, path string) string {
	t.Helper()
	b.do(t, chromedp.EmulateViewport(1280, 900), chromedp.Navigate(b.origin+path), chromedp.WaitReady(chromedp.CSS("main")))
	return b.shot(t, name)
}

// shot keeps a picture of the whole page and returns its text.
func (b *browser) shot(t *testing.T, name string) string {
	t.Helper()
	text, err := chromedp.Run(b.ctx, chromedp.Text(chromedp.CSS("main")))
	if err != nil {
		t.Fatal(err)
	}
	if dir := os.Getenv("TANDEM_SCREENSHOTS"); dir != "" {
		picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "node-"+name+".png"), picture, 0o600)
		}
		if err != nil {
			t.Error(err)
		}
	}
	return text
}

// rowsOf are the texts of the rows of a call in the table that is shown.
func (b *browser) rowsOf(t *testing.T, id string) []string {
	t.Helper()
	rows, err := chromedp.Run(b.ctx, chromedp.Evaluate[[]string](fmt.Sprintf(
		`[...document.querySelectorAll('table.calls tbody')].filter(b => b.querySelector('a[href="/calls/%s"]')).flatMap(b => [...b.rows].map(r => r.innerText))`, id)))
	if err != nil {
		t.Fatal(err)
	}
	return rows
}
