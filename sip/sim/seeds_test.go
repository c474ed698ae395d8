package sim

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// go test refuses a flag that one of the test binaries does not know, so
// go test ./sip/... -run Sim -seeds N needs it in all of them.
func TestSimSeedsFlagIsKnownInEveryTestPackageOfSIP(t *testing.T) {
	known := map[string]bool{}
	err := filepath.WalkDir("..", func(path string, _ os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		dir := filepath.Dir(path)
		known[dir] = known[dir] || strings.Contains(string(text), `flag.Uint64("seeds"`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for dir, ok := range known {
		if !ok {
			t.Errorf("tests in %s refuse -seeds: add a seeds_test.go as in ../core", dir)
		}
	}
}
