package main

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"
)

// TestImportDirection keeps the arrows of docs/architecture.md: the six
// folders know the root package and themselves, never one another; a
// third-party module has one owner.
func TestImportDirection(t *testing.T) {
	six := []string{"sip", "media", "routing", "rating", "cdr", "provisioning"}
	owners := map[string][]string{ // third-party module -> folders that may import it
		"github.com/emiago/sipgo":              {"sip"},
		"github.com/pion/":                     {"media"},
		"github.com/ClickHouse/clickhouse-go/": {"cdr"},
		"modernc.org/sqlite":                   {"provisioning"},
		"github.com/danielgtaylor/huma/":       {"provisioning"},
		"github.com/alecthomas/kong":           {"cmd"},
	}

	for _, pkg := range listPackages(t) {
		folder, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(pkg.path, "tandem"), "/"), "/")
		for _, imported := range pkg.imports {
			if folder == "" && strings.Contains(imported, ".") && imported != "github.com/google/uuid" {
				t.Errorf("root package imports %s: the vocabulary takes the standard library and uuid only", imported)
			}
			if rest, ours := strings.CutPrefix(imported, "tandem/"); ours {
				target, _, _ := strings.Cut(rest, "/")
				switch {
				case folder == "":
					t.Errorf("root package imports %s: the vocabulary knows nobody", imported)
				case contains(six, folder) && target != folder:
					t.Errorf("%s imports %s: declare the methods it needs in root types and let cmd pass them", pkg.path, imported)
				}
			}
			for module, allowed := range owners {
				if strings.HasPrefix(imported, module) && !contains(allowed, folder) {
					t.Errorf("%s imports %s, which belongs to %v", pkg.path, imported, allowed)
				}
			}
		}
	}
}

type listedPackage struct {
	path    string
	imports []string
}

func listPackages(t *testing.T) []listedPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "tandem/...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var pkgs []listedPackage
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		pkgs = append(pkgs, listedPackage{path: fields[0], imports: fields[1:]})
	}
	if len(pkgs) < 5 {
		t.Fatalf("go list found %d packages only", len(pkgs))
	}
	return pkgs
}

func contains(list []string, s string) bool {
	for _, item := range list {
		if item == s {
			return true
		}
	}
	return false
}
