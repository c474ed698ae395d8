package main

import (
	"os"
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

// TestUnitLeavesMemoryToTandem: GOGC or GOMEMLIMIT in the unit would win over
// tuneMemory, and the node would hold more than twice the memory (ADR 0015).
func TestUnitLeavesMemoryToTandem(t *testing.T) {
	unit, err := os.ReadFile("../../deploy/systemd/tandem.service")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"GOGC", "GOMEMLIMIT", "GOMAXPROCS"} {
		if strings.Contains(string(unit), name) {
			t.Errorf("deploy/systemd/tandem.service sets %s", name)
		}
	}
}
