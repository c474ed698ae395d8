package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDefaultConfigIsValid(t *testing.T) {
	c := DefaultConfig()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
}

// TestGoodConfigs loads every *.good.yaml.
func TestGoodConfigs(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.good.yaml")
	if len(files) == 0 {
		t.Fatal("no good configuration to load")
	}
	for _, file := range files {
		if _, err := LoadConfig(file); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// TestBadConfigs loads every *.bad.yaml; its first lines, "# want: text", are
// what the error must say.
func TestBadConfigs(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.bad.yaml")
	if len(files) == 0 {
		t.Fatal("no bad configuration to refuse")
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, err = LoadConfig(file)
			if err == nil {
				t.Fatal("accepted")
			}
			wants := 0
			for line := range strings.Lines(string(text)) {
				if want, ok := strings.CutPrefix(line, "# want: "); ok {
					wants++
					if !strings.Contains(err.Error(), strings.TrimSpace(want)) {
						t.Errorf("error lacks %q:\n%v", strings.TrimSpace(want), err)
					}
				}
			}
			if wants == 0 {
				t.Error("the file names no '# want:' message")
			}
		})
	}
}

func FuzzConfig(f *testing.F) {
	f.Add("node: a\nsip:\n  listen:\n    - {transport: udp, address: '127.0.0.1:5060'}\n")
	f.Add("media: {ports: 1-2}\n")
	f.Fuzz(func(t *testing.T, text string) {
		_, _ = parseConfig("fuzz.yaml", []byte(text)) // must refuse or accept, never crash
	})
}

func TestMaskNumbers(t *testing.T) {
	if got := maskNumbers("from=+14255550100 to=911"); got != "from=+1xxxxxxxx00 to=911" {
		t.Error(got)
	}
}
