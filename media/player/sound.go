package player

import (
	"math"
	"math/rand/v2"
)

// samples per 20 ms frame at 8 kHz. Every tone that is a multiple of 50 Hz has
// a whole number of periods in it, so one frame repeated is the tone.
const (
	rate    = 8000
	samples = rate / 50
)

// sound is a loop of frames in linear samples.
type sound [][samples]int16

// toneSound is a pure tone at about -12 dBFS; hz is a multiple of 50.
func toneSound(hz int) sound {
	var frame [samples]int16
	for i := range frame {
		frame[i] = int16(8000 * math.Sin(2*math.Pi*float64(hz)*float64(i)/rate))
	}
	return sound{frame}
}

// sweepSound rises from low to high Hz in 4 s and begins again.
func sweepSound(low, high int) sound {
	const frames = 200
	out := make(sound, frames)
	phase := 0.0
	for f := range out {
		for i := range out[f] {
			at := float64(f*samples+i) / (frames * samples)
			phase += 2 * math.Pi * (float64(low) + at*float64(high-low)) / rate
			out[f][i] = int16(8000 * math.Sin(phase))
		}
	}
	return out
}

// noiseSound is 4 s of noise that another seed makes otherwise.
func noiseSound(seed uint32) sound {
	random := rand.New(rand.NewPCG(uint64(seed), 1))
	out := make(sound, 200)
	for f := range out {
		for i := range out[f] {
			out[f][i] = int16(random.IntN(16000) - 8000)
		}
	}
	return out
}

// encode gives the payloads of a sound for a G.711 payload type.
func (s sound) encode(payloadType uint8) [][]byte {
	encode := EncodeULaw
	if payloadType == PCMA {
		encode = EncodeALaw
	}
	out := make([][]byte, len(s))
	for i := range s {
		b := make([]byte, samples)
		for j, v := range s[i] {
			b[j] = encode(v)
		}
		out[i] = b
	}
	return out
}

// lowest and highest frequencies that detection looks at, in steps of 50 Hz.
const (
	lowestHz  = 100
	highestHz = 3400
)

// detect finds the strongest multiple of 50 Hz in one frame (Goertzel) and
// returns it when it carries at least half of the energy; 0 = no clear tone.
func detect(frame []int16) int {
	if len(frame) < samples {
		return 0
	}
	frame = frame[:samples]
	var energy float64
	for _, v := range frame {
		energy += float64(v) * float64(v)
	}
	if energy < samples*100*100 { // below about -50 dBFS: silence
		return 0
	}
	best, bestPower := 0, 0.0
	for hz := lowestHz; hz <= highestHz; hz += 50 {
		coefficient := 2 * math.Cos(2*math.Pi*float64(hz)/rate)
		var s1, s2 float64
		for _, v := range frame {
			s1, s2 = float64(v)+coefficient*s1-s2, s1
		}
		if power := s1*s1 + s2*s2 - coefficient*s1*s2; power > bestPower {
			best, bestPower = hz, power
		}
	}
	if 2*bestPower/samples < energy/2 { // Parseval: a pure tone gives power*2/N = energy
		return 0
	}
	return best
}
