// Package quality estimates how a received stream sounded: the E-model of
// ITU-T G.107 in its simplified form, from loss, jitter and codec. The result
// is an estimate from network facts, never a measurement of the audio; callers
// show it as such.
package quality

import (
	"math"
	"strings"

	"tandem"
)

// codec holds the equipment impairment factor Ie and the packet-loss robustness
// factor Bpl of ITU-T G.113 appendix I.
type codec struct{ ie, bpl float64 }

// impairment of a codec by its SDP encoding name. G.711 is taken with packet
// loss concealment, which every current endpoint has. Codecs without published
// values (SILK, Opus, G.722) count as G.711 with concealment.
func impairment(name string) codec {
	switch strings.ToUpper(name) {
	case "G729":
		return codec{10, 19}
	case "G723":
		return codec{15, 16.1}
	case "GSM-EFR", "AMR":
		return codec{5, 10}
	case "GSM":
		return codec{20, 10}
	default:
		return codec{0, 25.1}
	}
}

// R is the transmission rating factor (G.107): R = 93.2 - Id - Ie,eff.
// lossPercent is random packet loss in percent, delayMs the one-way delay in ms
// with the jitter buffer included.
func R(ie, bpl, lossPercent, delayMs float64) float64 {
	id := 0.024 * delayMs
	if delayMs > 177.3 {
		id += 0.11 * (delayMs - 177.3)
	}
	eff := ie
	if lossPercent > 0 {
		eff += (95 - ie) * lossPercent / (lossPercent + bpl)
	}
	return 93.2 - id - eff
}

// Score maps a rating factor to the mean opinion score scale (G.107 annex B):
// 1 for R <= 0, 4.5 for R >= 100.
func Score(r float64) float64 {
	switch {
	case r <= 0 || math.IsNaN(r):
		return 1
	case r >= 100:
		return 4.5
	}
	// The cubic dips under 1 for very small R.
	return max(1, 1+0.035*r+r*(r-60)*(100-r)*7e-6)
}

// MOS estimates the mean opinion score of a stream from the counters of its
// receiver; 0 means unknown, because nothing was received. The one-way delay of
// the network is not known to a relay: the delay that counts is a jitter buffer
// of twice the interarrival jitter plus one 20 ms packet.
func MOS(encoding string, s tandem.StreamStats) float64 {
	if s.Packets == 0 {
		return 0
	}
	c := impairment(encoding)
	loss := 100 * float64(s.Lost) / float64(s.Packets+s.Lost)
	delay := 20 + 2*float64(s.JitterMicros)/1000
	return Score(R(c.ie, c.bpl, loss, delay))
}
