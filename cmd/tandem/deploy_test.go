package main

import (
	"strings"
	"testing"
)

// TestExampleConfig: the example must be accepted as it stands, except for the
// files of a certificate that only the operator has.
func TestExampleConfig(t *testing.T) {
	_, err := LoadConfig("../../deploy/example/tandem.yaml")
	if err == nil {
		return
	}
	for line := range strings.Lines(err.Error()) {
		if !strings.Contains(line, "can't be read: give the path of a PEM file") {
			t.Errorf("deploy/example/tandem.yaml: %s", line)
		}
	}
}
