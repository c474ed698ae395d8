package deck

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"tandem"
)

// maxRows bounds an upload; the largest US wholesale decks have some 200,000.
const maxRows = 1_000_000

// ParseCSV reads the rows of a deck in the plain form, see ParseSheet.
func ParseCSV(r io.Reader) ([]tandem.DeckRow, error) {
	sheet, err := ParseSheet(r, tandem.DeckForm{})
	return sheet.Rows, err
}

// ParseSheet reads a rate sheet. The first line names the columns. UTF-8 with
// or without a byte order mark, LF or CRLF, blank lines anywhere. Every problem
// is reported at once, joined: the Field of each names line and column, its
// text value and rule. Rows are numbered from 1 in the order of the file.
func ParseSheet(r io.Reader, form tandem.DeckForm) (tandem.DeckSheet, error) {
	in := bufio.NewReader(r)
	if bom, err := in.Peek(3); err == nil && bytes.Equal(bom, []byte("\xef\xbb\xbf")) {
		in.Discard(3)
	}
	p := parser{csv: csv.NewReader(in), clocks: clocks{}}
	if err := p.prepare(form); err != nil {
		return tandem.DeckSheet{}, err
	}
	p.csv.FieldsPerRecord = -1 // counted here, with a better message
	p.csv.ReuseRecord = true
	if err := p.header(); err != nil {
		return tandem.DeckSheet{}, err
	}
	for p.next() {
		if len(p.rows) > maxRows {
			p.found.add("", fmt.Sprintf("the file has more than %d rows", maxRows), "split the deck")
			break
		}
	}
	p.together()
	if err := p.found.err("file"); err != nil {
		return tandem.DeckSheet{}, err
	}
	return tandem.DeckSheet{Rows: p.rows, Warnings: p.warnings}, nil
}

type parser struct {
	csv      *csv.Reader
	form     template
	columns  []string // the deck's name of each of the file's, by position; "" = not used
	rows     []tandem.DeckRow
	lines    []int // of rows
	found    problems
	warnings []string
	clocks   clocks
}

// header reads the first line.
func (p *parser) header() error {
	record, err := p.csv.Read()
	if err != nil {
		return &tandem.Error{Kind: tandem.KindInvalid, Field: "line 1", Message: "the file has no readable first line",
			Mend: "name the columns in it, as in " + strings.Join(p.form.known(), ","), Err: hideEOF(err)}
	}
	for i, cell := range record {
		name, known := p.form.column(cell)
		switch {
		case !known && p.form.strict:
			p.bad(i, "", fmt.Sprintf("%q is not a column", tandem.Clip(strings.TrimSpace(cell), 40)), "use "+strings.Join(p.form.known(), ", "))
		case !known:
			p.warnings = append(p.warnings, fmt.Sprintf("column %q is not used", tandem.Clip(strings.TrimSpace(cell), 40)))
		case slices.Contains(p.columns, name):
			p.bad(i, name, fmt.Sprintf("column %q stands there twice", p.form.columns[name]), "remove one")
		}
		p.columns = append(p.columns, name)
	}
	for _, need := range []string{"prefix", "rate"} {
		if !slices.Contains(p.columns, need) {
			p.bad(0, "", "column "+p.form.columns[need]+" is missing", "add it; the first line names the columns")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.form.asked)) {
		if !slices.Contains(p.columns, name) {
			p.bad(0, "", fmt.Sprintf("the sheet has no column %q to be the %s", tandem.Clip(p.form.columns[name], 40), name), "write its name as the first line has it")
		}
	}
	return p.found.err("file")
}

func hideEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// next reads one line; false at the end of the file.
func (p *parser) next() bool {
	record, err := p.csv.Read()
	if err != nil {
		var syntax *csv.ParseError
		switch {
		case errors.Is(err, io.EOF):
			return false
		case errors.As(err, &syntax):
			p.found.add(fmt.Sprintf("line %d, column %d", syntax.Line, syntax.Column), "the quotes of this line don't close as they should",
				`put a cell with commas or quotes in quotes, and double the quotes inside it: "say ""hi"""`)
			return true
		}
		p.found.add("", "the file can't be read to its end", "send it again")
		return false
	}
	if len(record) != len(p.columns) {
		p.bad(0, "", fmt.Sprintf("the line has %d cells, the first line names %d columns", len(record), len(p.columns)), "write one cell per column")
		return true
	}
	row := tandem.DeckRow{ID: int64(len(p.rows) + 1), InitialInc: p.form.increment, NextInc: p.form.increment}
	clean, priced := true, false
	for i, cell := range record {
		name := p.columns[i]
		cell = strings.TrimSpace(cell)
		if cell == "" || name == "" {
			continue // the default; an empty prefix is the catch-all
		}
		priced = priced || name == "rate"
		if err := p.form.set(&row, name, cell); err != nil {
			p.bad(i, name, err.Message, err.Mend)
			clean = false
		}
	}
	if !priced && !row.Reject {
		p.bad(slices.Index(p.columns, "rate"), "rate", "the row has no rate", "write the price per minute, 0 included, or reject = true")
		clean = false
	}
	if clean { // a second message about the same cell would not help
		checkRow(&row, p.clocks, func(name, message, mend string) { p.bad(max(slices.Index(p.columns, name), 0), name, message, mend) })
	}
	line, _ := p.csv.FieldPos(0)
	p.rows, p.lines = append(p.rows, row), append(p.lines, line)
	return true
}

// bad reports a problem with cell i of the current line.
func (p *parser) bad(i int, name, message, mend string) {
	line, column := p.csv.FieldPos(i)
	field := fmt.Sprintf("line %d, column %d", line, column)
	if name != "" {
		field += " (" + name + ")"
	}
	p.found.add(field, message, mend)
}

// together applies the rules between rows, and warns of what is missing.
func (p *parser) together() {
	checkTogether(p.rows, sorted(p.rows), p.clocks,
		func(row int32, column, message, mend string) {
			p.found.add(fmt.Sprintf("line %d (%s)", p.lines[row], column), message, mend)
		},
		func(row int32) string { return fmt.Sprintf("line %d", p.lines[row]) })
	if !slices.ContainsFunc(p.rows, func(r tandem.DeckRow) bool { return r.Prefix == "" }) {
		p.warnings = append(p.warnings, "the deck has no catch-all row (empty prefix): it prices no other destinations, and calls to them are refused")
	}
}
