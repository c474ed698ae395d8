package main

import (
	"io"
	"log/slog"
	"regexp"
)

var logLevels = map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}

// newLogger writes text lines; slog quotes control characters, so a hostile
// value can't start a line of its own.
func newLogger(w io.Writer, c LogConfig) *slog.Logger {
	options := &slog.HandlerOptions{Level: logLevels[c.Level]}
	if c.MaskNumbers {
		options.ReplaceAttr = func(_ []string, a slog.Attr) slog.Attr {
			if a.Value.Kind() == slog.KindString {
				a.Value = slog.StringValue(maskNumbers(a.Value.String()))
			}
			return a
		}
	}
	return slog.New(slog.NewTextHandler(w, options))
}

var longNumber = regexp.MustCompile(`\+\d{4,15}`)

// maskNumbers keeps the country code's first digit and the last two digits of
// every E.164 number in s.
func maskNumbers(s string) string {
	return longNumber.ReplaceAllStringFunc(s, func(n string) string {
		masked := []byte(n)
		for i := 2; i < len(masked)-2; i++ {
			masked[i] = 'x'
		}
		return string(masked)
	})
}
