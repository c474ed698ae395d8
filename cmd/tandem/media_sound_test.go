package main

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
)

// soundRate is the sampling rate of G.711 and of every sound file here.
const soundRate = 8000

// sweep is a sound whose frequency moves from one value to another and back in
// every period, so that each moment is found again in a recording and two
// different sweeps are never alike.
func sweep(seconds, period, from, to float64) []int16 {
	out := make([]int16, int(seconds*soundRate))
	phase := 0.0
	for i := range out {
		at := math.Mod(float64(i)/soundRate/period, 1)
		phase += 2 * math.Pi * (from + (to-from)*at) / soundRate
		out[i] = int16(9000 * math.Sin(phase))
	}
	return out
}

// writeWAV stores 16 bit mono.
func writeWAV(t *testing.T, name string, sound []int16) string {
	t.Helper()
	b := []byte("RIFF")
	b = binary.LittleEndian.AppendUint32(b, uint32(36+2*len(sound)))
	b = append(b, "WAVEfmt "...)
	b = binary.LittleEndian.AppendUint32(b, 16)
	for _, v := range []uint16{1, 1} { // PCM, one channel
		b = binary.LittleEndian.AppendUint16(b, v)
	}
	b = binary.LittleEndian.AppendUint32(b, soundRate)
	b = binary.LittleEndian.AppendUint32(b, 2*soundRate)
	b = binary.LittleEndian.AppendUint16(b, 2)
	b = binary.LittleEndian.AppendUint16(b, 16)
	b = append(b, "data"...)
	b = binary.LittleEndian.AppendUint32(b, uint32(2*len(sound)))
	for _, v := range sound {
		b = binary.LittleEndian.AppendUint16(b, uint16(v))
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// readWAV reads 16 bit mono. A file that its writer did not close has no sizes: what is there counts.
func readWAV(t *testing.T, path string) []int16 {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for at := 12; at+8 <= len(b); {
		size := int(binary.LittleEndian.Uint32(b[at+4:]))
		if string(b[at:at+4]) == "data" {
			data := b[at+8:]
			if size > 0 && size < len(data) {
				data = data[:size]
			}
			out := make([]int16, len(data)/2)
			for i := range out {
				out[i] = int16(binary.LittleEndian.Uint16(data[2*i:]))
			}
			return out
		}
		at += 8 + size + size&1
	}
	return nil
}

// likeness is how a recording compares with the sound that was played.
type likeness struct {
	snr     float64 // dB of the sound over what differs from it
	gap     float64 // longest silence in ms where the sound is loud
	seconds float64 // compared
	part    float64 // correlation of the best fit
}

func (l likeness) String() string {
	return fmt.Sprintf("SNR %.1f dB, longest gap %.1f ms, %.2f s, correlation %.4f", l.snr, l.gap, l.seconds, l.part)
}

// compare lays a recording over the sound, by the best fit of its first 400 ms
// of sound, and measures from there to its end.
func compare(sound, got []int16) likeness {
	got = trimSilence(got)
	const piece = soundRate * 4 / 10
	skip := soundRate / 10 // the first 100 ms may hold a packet that the peer was not ready for
	if len(got) < skip+piece {
		return likeness{}
	}
	at, part := fit(sound, got[skip:skip+piece])
	n := min(len(got)-skip, len(sound)-at)
	got, sound = got[skip:skip+n], sound[at:at+n]
	var cross, power float64
	for i := range got {
		cross += float64(sound[i]) * float64(got[i])
		power += float64(sound[i]) * float64(sound[i])
	}
	gain := cross / power
	var signal, noise float64
	run, longest := 0, 0
	for i := range got {
		want := gain * float64(sound[i])
		signal += want * want
		noise += (float64(got[i]) - want) * (float64(got[i]) - want)
		if got[i] >= -8 && got[i] <= 8 {
			run++
			longest = max(longest, run)
		} else {
			run = 0
		}
	}
	snr := 99.0
	if noise > 0 {
		snr = 10 * math.Log10(signal/noise)
	}
	return likeness{snr: snr, gap: float64(longest) * 1000 / soundRate, seconds: float64(n) / soundRate, part: part}
}

// fit finds where a piece lies in a sound and how well (1 = the same): first by
// one sample in sixteen, then the best places by all.
func fit(sound, piece []int16) (at int, part float64) {
	const sparse, kept = 16, 20
	type place struct {
		at   int
		part float64
	}
	best := make([]place, 0, kept+1)
	for o := 0; o+len(piece) <= len(sound); o++ {
		p := place{o, correlation(sound[o:o+len(piece)], piece, sparse)}
		if len(best) == kept && p.part <= best[kept-1].part {
			continue
		}
		best = append(best, p)
		for i := len(best) - 1; i > 0 && best[i].part > best[i-1].part; i-- {
			best[i], best[i-1] = best[i-1], best[i]
		}
		best = best[:min(len(best), kept)]
	}
	part = -2
	for _, p := range best {
		if c := correlation(sound[p.at:p.at+len(piece)], piece, 1); c > part {
			at, part = p.at, c
		}
	}
	return at, part
}

// correlation of two sounds of equal length, looking at every n-th sample.
func correlation(a, b []int16, n int) float64 {
	var dot, x, y int64
	for i := 0; i < len(b); i += n {
		u, v := int64(a[i]), int64(b[i])
		dot += u * v
		x += u * u
		y += v * v
	}
	return float64(dot) / math.Sqrt(float64(x)*float64(y)+1)
}

// loud is an amplitude that no silence has.
const loud = 100

// trimSilence cuts the silence before and after a sound.
func trimSilence(got []int16) []int16 {
	quiet := func(v int16) bool { return v > -loud && v < loud }
	for len(got) > 0 && quiet(got[0]) {
		got = got[1:]
	}
	for len(got) > 0 && quiet(got[len(got)-1]) {
		got = got[:len(got)-1]
	}
	return got
}
