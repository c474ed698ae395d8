package player

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// wavFile records 16-bit mono at 8 kHz. Lost packets leave no gap: the file is
// what arrived, in order of arrival.
type wavFile struct {
	file    *os.File
	w       *bufio.Writer
	samples uint32
}

func createWAV(dir, name string) (*wavFile, error) {
	clean := strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '_'
	}, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("recording folder: %w", err)
	}
	f, err := os.Create(filepath.Join(dir, clean+".wav"))
	if err != nil {
		return nil, fmt.Errorf("recording: %w", err)
	}
	w := &wavFile{file: f, w: bufio.NewWriter(f)}
	w.w.Write(wavHeader(0))
	return w, nil
}

func wavHeader(samples uint32) []byte {
	b := []byte("RIFF")
	b = binary.LittleEndian.AppendUint32(b, 36+2*samples)
	b = append(b, "WAVEfmt "...)
	b = binary.LittleEndian.AppendUint32(b, 16)
	b = binary.LittleEndian.AppendUint16(b, 1) // PCM
	b = binary.LittleEndian.AppendUint16(b, 1) // mono
	b = binary.LittleEndian.AppendUint32(b, rate)
	b = binary.LittleEndian.AppendUint32(b, 2*rate)
	b = binary.LittleEndian.AppendUint16(b, 2)
	b = binary.LittleEndian.AppendUint16(b, 16)
	b = append(b, "data"...)
	return binary.LittleEndian.AppendUint32(b, 2*samples)
}

func (w *wavFile) add(payloadType uint8, payload []byte) {
	if payloadType != PCMU && payloadType != PCMA {
		return
	}
	decode := DecodeULaw
	if payloadType == PCMA {
		decode = DecodeALaw
	}
	var two [2]byte
	for _, b := range payload {
		binary.LittleEndian.PutUint16(two[:], uint16(decode(b)))
		w.w.Write(two[:])
	}
	w.samples += uint32(len(payload))
}

func (w *wavFile) close() {
	w.w.Flush()
	w.file.WriteAt(wavHeader(w.samples), 0)
	w.file.Close()
}
