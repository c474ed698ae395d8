package provisioning

import (
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
)

// DeckFiles lists the files that a document's decks name, so that a client can
// send them along. A document that is not readable names none: Parse reports why.
func DeckFiles(text []byte) []string {
	tokens := lexer.Tokenize(string(text))
	if _, deep := tooDeep(tokens); deep || len(text) > maxDocument {
		return nil
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil
	}
	r := &reader{} // its problems are Parse's to report
	var names []string
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		decks, ok := value{r: r, node: doc.Body}.object(string(Decks)).fields[string(Decks)]
		if !ok {
			continue
		}
		for _, deck := range decks.list() {
			if name := deck.object("file").text("file"); name != "" {
				names = append(names, name)
			}
		}
	}
	return names
}
