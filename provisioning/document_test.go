package provisioning_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tandem"
	"tandem/provisioning"
	"tandem/rating/deck"
)

// source opens files beside the testdata and reads a deck of one row from any.
func source() provisioning.Source {
	return provisioning.Source{
		Open: func(name string) (io.ReadCloser, error) { return os.Open(filepath.Join("testdata", name)) },
		ParseDeckCSV: func(io.Reader) ([]tandem.DeckRow, error) {
			return []tandem.DeckRow{{Rate: 50_000_000, InitialInc: 60, NextInc: 60}}, nil
		},
		ValidateDeck: deck.Validate,
	}
}

func load(t testing.TB, file string) (*provisioning.Document, error) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return provisioning.Parse(filepath.Base(file), text, source())
}

// TestBadDocuments reads every *.bad.yaml; its first lines, "# want: text",
// are what the error must say, all of it at once.
func TestBadDocuments(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.bad.yaml")
	if len(files) < 10 {
		t.Fatalf("only %d bad documents", len(files))
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			doc, err := load(t, file)
			if err == nil {
				_, err = provisioning.Plan(&tandem.Directory{}, doc)
			}
			if err == nil {
				t.Fatal("accepted")
			}
			if tandem.KindOf(err) != tandem.KindInvalid {
				t.Errorf("kind %s", tandem.KindOf(err))
			}
			text, _ := os.ReadFile(file)
			wants := 0
			for line := range strings.Lines(string(text)) {
				if want, ok := strings.CutPrefix(line, "# want: "); ok {
					wants++
					if !strings.Contains(err.Error(), strings.TrimSuffix(want, "\n")) {
						t.Errorf("error lacks %s\n%v", want, err)
					}
				}
			}
			if wants == 0 {
				t.Error("the file names no '# want:' message")
			}
		})
	}
}

func TestGoodDocuments(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.good.yaml")
	if len(files) == 0 {
		t.Fatal("no good document")
	}
	for _, file := range files {
		doc, err := load(t, file)
		if err != nil {
			t.Fatal(err)
		}
		change, err := provisioning.Plan(&tandem.Directory{}, doc)
		if err != nil {
			t.Fatal(err)
		}
		if err := provisioning.Validate(change.Next); err != nil {
			t.Error(err)
		}
	}
}

// TestDocumentedExample: what docs/formats/apply.md shows is accepted.
func TestDocumentedExample(t *testing.T) {
	text, err := os.ReadFile("../docs/formats/apply.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := bytes.Split(text, []byte("```"))
	found := 0
	for i := 1; i < len(blocks); i += 2 {
		body, ok := bytes.CutPrefix(blocks[i], []byte("yaml\n"))
		if !ok {
			continue
		}
		found++
		doc, err := provisioning.Parse("apply.md", body, source())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := provisioning.Plan(&tandem.Directory{}, doc); err != nil {
			t.Error(err)
		}
	}
	if found == 0 {
		t.Error("no yaml example")
	}
}

func TestDefaults(t *testing.T) {
	doc, err := provisioning.Parse("x", []byte("trunks: [{id: teams, fqdn: sbc.example.net}]\ncarriers: [{id: c, endpoints: [192.0.2.1], sources: [192.0.2.1]}]\n"), provisioning.Source{})
	if err != nil {
		t.Fatal(err)
	}
	teams, carrier := doc.Objects.Trunks[0], doc.Objects.Trunks[1]
	if got := strings.Join(teams.NextOn.Words(), " "); got != "408 503 504 silence connection" {
		t.Errorf("Microsoft's next_on %q", got)
	}
	if len(teams.Endpoints) != 3 || teams.Endpoints[2].Host != "sip3.pstnhub.microsoft.com" || teams.Endpoints[0].Port != 5061 || teams.Transport != tandem.TLS ||
		teams.SRTP != tandem.SRTPRequired || teams.Network != "Operator Connect" || teams.OptionsInterval.D().Seconds() != 60 || len(teams.Sources) != 2 {
		t.Errorf("Microsoft's trunk %+v", teams)
	}
	if carrier.Transport != tandem.UDP || carrier.SRTP != tandem.SRTPOff || carrier.Endpoints[0].Port != 5060 || carrier.Network != "c" || carrier.Sources[0].Bits() != 32 {
		t.Errorf("carrier %+v", carrier)
	}
}

// TestHostileDocuments must be refused quickly rather than exhaust the parser.
func TestHostileDocuments(t *testing.T) {
	for name, text := range map[string]string{
		"DeepFlow":     strings.Repeat("[", 100_000),
		"DeepFlowMaps": strings.Repeat("{a: ", 100_000),
		"DeepDashes":   strings.Repeat("- ", 100_000) + "a",
		"DeepKeys":     strings.Repeat("? ", 100_000) + "a",
		"Aliases":      "a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\nnumbers: *c\n",
		"Merge":        "<<: {numbers: []}\n",
		"Tag":          "numbers: !!binary aGk=\n",
		"NotUTF8":      "numbers: [\xff\xfe\x00]\n",
		"Nul":          "num\x00bers: []\n",
		"SQL":          "numbers: [{did: \"'; DROP TABLE number;--\"}]\n",
	} {
		if _, err := provisioning.Parse(name, []byte(text), provisioning.Source{}); err == nil {
			t.Errorf("%s: accepted", name)
		} else if len(err.Error()) > 100_000 {
			t.Errorf("%s: %d bytes of error", name, len(err.Error()))
		}
		provisioning.DeckFiles([]byte(text)) // must not fail either
	}
}

func TestDeckFiles(t *testing.T) {
	text, err := os.ReadFile("testdata/complete.good.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if got := provisioning.DeckFiles(text); len(got) != 1 || got[0] != "us-in.csv" {
		t.Errorf("DeckFiles() = %q", got)
	}
}

// FuzzDocument: any text is read or refused; what is read can be planned, and
// planning it again changes nothing.
func FuzzDocument(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.yaml")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte("numbers: []"))
	f.Fuzz(func(t *testing.T, text []byte) {
		provisioning.DeckFiles(text)
		doc, err := provisioning.Parse("fuzz.yaml", text, source())
		if err != nil {
			if tandem.KindOf(err) == tandem.KindInternal {
				t.Errorf("unexplained: %v", err)
			}
			return
		}
		change, err := provisioning.Plan(&tandem.Directory{}, doc)
		if err != nil {
			return
		}
		again, err := provisioning.Plan(change.Next, doc)
		if err != nil || !again.Empty() {
			t.Errorf("second time: %v, %v", again.Lines, err)
		}
	})
}
