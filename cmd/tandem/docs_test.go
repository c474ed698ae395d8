package main

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"tandem/provisioning"
	"tandem/rating/deck"
)

const repository = "../.."

// documents are the pages whose words are held against the code.
func documents(t *testing.T) map[string]string {
	t.Helper()
	pages := map[string]string{}
	err := filepath.WalkDir(filepath.Join(repository, "docs"), func(path string, _ fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".md") {
			pages[path] = read(t, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	readme := filepath.Join(repository, "README.md")
	pages[readme] = read(t, readme)
	return pages
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

var (
	inlineCode = regexp.MustCompile("`([^`\n]+)`")
	sourcePath = regexp.MustCompile(`^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*\.(go|sql|md|ya?ml|golden|html|sh|service)$`)
	sourceDir  = regexp.MustCompile(`^(sip|media|routing|rating|cdr|provisioning|cmd|docs|deploy|scripts|bench)(/[A-Za-z0-9_.-]+)*/?$`)
	symbol     = regexp.MustCompile(`^\(?\*?([A-Za-z]\w*)\)?(\.[A-Za-z]\w*)*\.([A-Z]\w*|[a-z]\w*)(\(\))?$`)
	link       = regexp.MustCompile(`\]\(([^)#]+)\)`)
)

// madeAtRuntime are files that documents name and a node makes.
var madeAtRuntime = map[string]bool{"tandem.yaml": true, "customers.yaml": true, "delivery.json": true}

// TestDocumentsNameWhatExists: each file, folder, symbol and link that a page
// names is there, so that a renamed file shows in the page that explains it.
func TestDocumentsNameWhatExists(t *testing.T) {
	words := identifiers(t)
	for path, text := range documents(t) {
		for _, m := range inlineCode.FindAllStringSubmatch(withoutFences(text), -1) {
			switch name := m[1]; {
			case madeAtRuntime[name]:
			case sourcePath.MatchString(name), sourceDir.MatchString(name):
				if !exists(filepath.Join(repository, name)) && !exists(filepath.Join(filepath.Dir(path), name)) {
					t.Errorf("%s names %s, which does not exist", path, name)
				}
			case symbol.MatchString(name):
				last := symbol.FindStringSubmatch(name)[3]
				if !words[last] {
					t.Errorf("%s names %s, but the code knows no %s", path, name, last)
				}
			}
		}
		for _, m := range link.FindAllStringSubmatch(withoutFences(text), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if !exists(filepath.Join(filepath.Dir(path), m[1])) {
				t.Errorf("%s links to %s, which does not exist", path, m[1])
			}
		}
	}
}

// identifiers are all words of the Go and SQL files and of the example settings.
func identifiers(t *testing.T) map[string]bool {
	t.Helper()
	words := map[string]bool{}
	word := regexp.MustCompile(`[A-Za-z_]\w*`)
	err := filepath.WalkDir(repository, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && path != repository && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "node_modules" || entry.Name() == "bin") {
			return fs.SkipDir
		}
		switch filepath.Ext(path) {
		case ".go", ".sql", ".yaml", ".mod":
			if !entry.IsDir() && !strings.HasSuffix(path, "docs_test.go") {
				for _, w := range word.FindAllString(read(t, path), -1) {
					words[w] = true
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return words
}

// fences splits a page into its fenced blocks by language.
func fences(text string) (blocks []struct{ language, body string }) {
	parts := strings.Split("\n"+text, "\n```")
	for i := 1; i < len(parts); i += 2 {
		language, body, _ := strings.Cut(parts[i], "\n")
		blocks = append(blocks, struct{ language, body string }{language, body})
	}
	return blocks
}

func withoutFences(text string) string {
	parts := strings.Split("\n"+text, "\n```")
	var b strings.Builder
	for i := 0; i < len(parts); i += 2 {
		b.WriteString(parts[i])
		b.WriteByte('\n')
	}
	return b.String()
}

// TestEveryGoroutineIsOnTheList: a file that starts a goroutine stands in the
// architecture's list with its owner.
func TestEveryGoroutineIsOnTheList(t *testing.T) {
	page := read(t, filepath.Join(repository, "docs", "architecture.md"))
	starts := regexp.MustCompile(`(?m)^[^/"\n]*(\bgo (func\b|\w+(\.\w+)*\()|\b(spawn|Go|goRun)\().*$`)
	found := 0
	for _, top := range []string{"sip", "media", "routing", "rating", "cdr", "provisioning", "cmd"} {
		err := filepath.WalkDir(filepath.Join(repository, top), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			name, _ := filepath.Rel(repository, path)
			if strings.HasSuffix(filepath.Dir(name), "test") { // suites that tests share
				return nil
			}
			if m := starts.FindString(read(t, path)); m != "" {
				found++
				if !strings.Contains(page, name) {
					t.Errorf("docs/architecture.md does not list the goroutine of %s: %s", name, strings.TrimSpace(m))
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if found < 15 {
		t.Errorf("only %d files with goroutines found: the pattern no longer fits", found)
	}
}

// TestStateTableInTheDocuments: docs/call-states.md repeats the golden file of sip/core.
func TestStateTableInTheDocuments(t *testing.T) {
	golden := read(t, filepath.Join(repository, "sip", "core", "testdata", "states.golden"))
	if !strings.HasSuffix(read(t, filepath.Join(repository, "docs", "call-states.md")), "\n\n"+golden) {
		t.Error("docs/call-states.md must end with sip/core/testdata/states.golden: copy it there")
	}
}

// TestYAMLInTheDocuments: each YAML block is a tandem.yaml or an apply document
// and is accepted as one, but for files that only the reader has.
func TestYAMLInTheDocuments(t *testing.T) {
	files := func(name string) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader("prefix,destination,rate\n1,United States,0.01\n")), nil
	}
	settings := regexp.MustCompile(`(?m)^(node|data|sip|media|routing|records|clickhouse|http|log):`)
	blocks := 0
	for path, text := range documents(t) {
		for _, block := range fences(text) {
			if block.language != "yaml" {
				continue
			}
			blocks++
			if settings.MatchString(block.body) {
				if _, err := parseConfig(path, []byte(block.body)); err != nil {
					for line := range strings.Lines(err.Error()) {
						if !strings.Contains(line, "can't be read: give the path of a PEM file") {
							t.Errorf("%s: %s", path, line)
						}
					}
				}
				continue
			}
			if _, err := provisioning.Parse(path, []byte(block.body), provisioning.Source{ParseDeckCSV: deck.ParseCSV, Open: files}); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
	if blocks == 0 {
		t.Error("no page holds a YAML block any more")
	}
}

// TestCommandLinesInTheDocuments: each `tandem ...` line of a page is
// understood by the parser of the command line; nothing is run.
func TestCommandLinesInTheDocuments(t *testing.T) {
	pages := documents(t)
	t.Chdir(t.TempDir())
	for _, file := range []string{"customers.yaml", "tandem.yaml"} {
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	line := regexp.MustCompile(`(?m)^\s*(?:bin/)?tandem ([a-z].*)$`)
	lines := 0
	for path, text := range pages {
		for _, m := range line.FindAllStringSubmatch(text, -1) {
			command, _, _ := strings.Cut(m[1], "#")
			command, _, _ = strings.Cut(command, ">")
			lines++
			parser, err := kong.New(&CLI{}, kong.Name("tandem"), kong.Exit(func(int) {}))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := parser.Parse(strings.Fields(command)); err != nil {
				t.Errorf("%s: tandem %s: %v", path, command, err)
			}
		}
	}
	if lines < 5 {
		t.Errorf("only %d command lines found", lines)
	}
}
