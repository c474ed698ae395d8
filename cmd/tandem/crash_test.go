package main

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"tandem"
)

// crashCase is one part of the proof. It fills in its line and reports by t.
type crashCase struct {
	name string
	in   crashForm
	run  func(t *testing.T, r *rand.Rand, res *crashResult)
}

// crashForm says when a case runs.
type crashForm int

const (
	inFull crashForm = iota // make crash
	inTest                  // and make test
	always                  // and -short
)

// TestCrash is the proof that no crash and no fault of disk or ClickHouse loses
// or doubles a row or a charge, and that calls do not notice ClickHouse. SIPp's
// own log and Teams' are the history, rows are the reads. `make crash` runs it
// in full, `make test` in short form; a seed repeats the moments.
func TestCrash(t *testing.T) {
	needSIPp(t)
	needEngine(t)
	report := &crashReport{seed: *crashSeed, began: time.Now()}
	for report.seed == 0 {
		report.seed = rand.Uint64() >> 32
	}
	t.Logf("seed %d: repeat with -crash.seed=%d", report.seed, report.seed)
	cases := []crashCase{
		{"tandem killed", always, tandemKilled},
		{"engine child killed", inFull, engineKilled},
		{"ClickHouse refused, hanging, storing then failing", inTest, clickHouseFaults},
		{"journal disk slow", inFull, slowDisk},
		{"journal disk full (injected)", inTest, fullDisk},
		{"journal disk full (tmpfs)", inFull, fullTmpfs},
		{"journal tail torn or flipped", inFull, tornTails},
		{"tandem stopped (SIGSTOP)", inFull, tandemStopped},
		{"engine child stopped (SIGSTOP)", inFull, engineStopped},
		{"second process on the folder", inFull, secondProcess},
	}
	form := sized(inFull, inTest, always)
	for i, c := range cases {
		if c.in < form {
			continue
		}
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			res := crashResult{name: c.name}
			defer func() {
				if t.Skipped() {
					res.note = "skipped"
				}
				res.failedOnThisAccounts = t.Failed()
				report.results = append(report.results, res)
			}()
			c.run(t, rand.New(rand.NewPCG(report.seed, uint64(i))), &res)
		})
	}
	t.Logf("crash proof, seed %d, %s:\n%s", report.seed, time.Since(report.began).Round(time.Second), report)
	if *crashOut != "" {
		report.keep(t, *crashOut)
	}
}

// sized picks by form: the full proof, `make test`, or -short.
func sized[T any](full, normal, short T) T {
	switch {
	case *crashFull:
		return full
	case testing.Short():
		return short
	}
	return normal
}

// tandemKilled kills the node at random moments: under load, while it starts,
// and while it reads its journal back.
func tandemKilled(t *testing.T, r *rand.Rand, res *crashResult) {
	v := newVictim(t)
	underLoad, starting, recovering := sized(30, 2, 1), sized(10, 1, 1), sized(10, 1, 1)
	plan := slices.Concat(slices.Repeat([]string{"load"}, underLoad), slices.Repeat([]string{"start"}, starting), slices.Repeat([]string{"recovery"}, recovering))
	r.Shuffle(len(plan), func(i, k int) { plan[i], plan[k] = plan[k], plan[i] })
	v.start()
	waitUp(t, v.api, v.p)
	load := startLoad(t, v.stage.teams, v.net, sized(50, 20, 10))
	pause(between(r, time.Second, 3*time.Second))
	for _, moment := range plan {
		switch moment {
		case "load":
			waitUp(t, v.api, v.p)
			pause(between(r, 500*time.Millisecond, sized(7*time.Second, 2*time.Second, time.Second)))
		case "start":
			pause(between(r, 0, 400*time.Millisecond))
		case "recovery":
			v.waitRecovering()
			pause(between(r, 0, 20*time.Millisecond))
		}
		v.kill()
		v.start()
	}
	waitUp(t, v.api, v.p)
	pause(2 * time.Second)
	h, _, _ := load.stop(t)
	res.drain = v.drained()
	res.kills = len(v.crashes)
	s := v.read()
	res.check(t, s, h, crashFacts{crashes: v.crashes})
	res.restarts = v.restarts(s.rows(t, tandem.CDRFilter{Connected: true}))
	// Each restart in the full proof; beside other tests only half of them have a machine to themselves.
	if slow := shareOf(append(res.restarts, 0), sized(100, 50, 50)); slow > 3*time.Second {
		t.Errorf("a restart took %s to its first accepted call", slow)
	}
	res.note = fmt.Sprintf("%d of %d cut callees were hung up by the next process", res.released, res.cut)
	if res.recovered == 0 {
		t.Error("no call was up when tandem was killed: the case proves nothing")
	}
}

// tornTails kills the node and then damages the end of its journal as a power
// cut, a torn write or a bad sector would.
func tornTails(t *testing.T, r *rand.Rand, res *crashResult) {
	v := newVictim(t)
	tails := []struct {
		name   string
		lost   int // facts that the damage takes at most
		damage func(b []byte, frames []int) []byte
	}{
		{"garbage behind", 0, func(b []byte, _ []int) []byte { return append(b, "neither a frame nor zeros, 40 bytes long"...) }},
		{"zeros behind", 0, func(b []byte, _ []int) []byte { return append(b, make([]byte, 8192)...) }},
		{"half a frame behind", 0, func(b []byte, f []int) []byte { return append(b, b[f[len(f)-1]:f[len(f)-1]+20]...) }},
		{"last frame torn", 1, func(b []byte, f []int) []byte { return b[:f[len(f)-1]+1+r.IntN(len(b)-f[len(f)-1]-1)] }},
		{"last frame flipped", 1, func(b []byte, f []int) []byte {
			b[f[len(f)-1]+r.IntN(len(b)-f[len(f)-1])] ^= 1 << r.IntN(8)
			return b
		}},
		{"last three frames zeroed", 3, func(b []byte, f []int) []byte { clear(b[f[max(0, len(f)-3)]:]); return b }},
	}
	rounds := sized(2, 1, 1)
	if testing.Short() {
		tails = tails[3:5]
	}
	lost := 0
	v.start()
	waitUp(t, v.api, v.p)
	load := startLoad(t, v.stage.teams, v.net, sized(50, 20, 10))
	for range rounds {
		for _, tail := range tails {
			waitUp(t, v.api, v.p)
			pause(between(r, time.Second, sized(4*time.Second, 1500*time.Millisecond, 1500*time.Millisecond)))
			v.kill()
			lost += damageTail(t, mustLoad(t, v.config).Data, tail.damage, tail.lost)
			v.start()
		}
	}
	waitUp(t, v.api, v.p)
	h, _, _ := load.stop(t)
	res.drain, res.kills = v.drained(), len(v.crashes)
	s := v.read()
	// What the disk lost is lost: at most one call a frame. It may miss its rows,
	// or end earlier than it did. Nothing may be doubled, and the books agree.
	res.checkDamaged(t, s, h, crashFacts{crashes: v.crashes}, lost)
	res.restarts = v.restarts(s.rows(t, tandem.CDRFilter{Connected: true}))
}

// damageTail changes the end of the newest segment that holds facts; it returns how many facts that destroys at most.
func damageTail(t *testing.T, data string, damage func([]byte, []int) []byte, lost int) int {
	t.Helper()
	segments, _ := filepath.Glob(filepath.Join(data, "journal", "*.seg"))
	for _, path := range slices.Backward(segments) {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var frames []int
		for off := 16; off+9 < len(b); { // docs/formats/journal.md
			n := int(binary.LittleEndian.Uint32(b[off:]))
			if n == 0 || off+n+8 > len(b) {
				break
			}
			frames = append(frames, off)
			off += n + 8
		}
		if len(frames) == 0 {
			continue
		}
		if err := os.WriteFile(path, damage(b, frames), 0o600); err != nil {
			t.Fatal(err)
		}
		return lost
	}
	t.Fatal("no facts in the journal")
	return 0
}

// tandemStopped: the machine, or its hypervisor, gives tandem no time for 30 s.
func tandemStopped(t *testing.T, _ *rand.Rand, res *crashResult) {
	v := newVictim(t)
	v.start()
	waitUp(t, v.api, v.p)
	load := startLoad(t, v.stage.teams, v.net, sized(50, 20, 10))
	pause(sized(5*time.Second, time.Second, time.Second))
	pid := v.p.cmd.Process.Pid
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	pause(sized(30*time.Second, 3*time.Second, 2*time.Second))
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	pause(sized(10*time.Second, 2*time.Second, time.Second))
	h, _, _ := load.stop(t)
	res.kills, res.drain = 1, v.drained()
	res.check(t, v.read(), h, crashFacts{stalled: true})
	if res.recovered > 0 {
		t.Errorf("%d recovered rows, and nothing crashed", res.recovered)
	}
}

// secondProcess: the second tandem on a folder refuses at once and the first never notices.
func secondProcess(t *testing.T, _ *rand.Rand, res *crashResult) {
	v := newVictim(t)
	v.start()
	waitUp(t, v.api, v.p)
	load := startLoad(t, v.stage.teams, v.net, sized(50, 20, 10))
	pause(time.Second)
	for range sized(5, 2, 1) {
		second := exec.Command(os.Args[0], "serve", "--config", v.config)
		out := &testLog{}
		second.Stdout, second.Stderr = out, out
		began := time.Now()
		err := second.Run()
		if took := time.Since(began); err == nil || second.ProcessState.ExitCode() != 1 || !strings.Contains(out.String(), "in use by another tandem") || took > 5*time.Second {
			t.Errorf("the second process: %v after %s\n%s", err, took, out)
		}
	}
	h, outbound, failed := load.stop(t)
	if res.failed = failed; failed > 0 {
		t.Errorf("%d calls failed; outbound %v", failed, outbound.Statuses)
	}
	res.drain = v.drained()
	res.check(t, v.read(), h, crashFacts{})
}
