package deck

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"tandem"
)

// Columns of the plain CSV form, in the order in which WriteCSV puts them. A
// file may have them in any order and leave out all but prefix and rate.
func Columns() []string {
	return []string{"prefix", "destination", "rate", "connect_fee", "initial_inc", "next_inc", "effective_from", "effective_to", "reject"}
}

// defaultIncrement is the product's retail default: whole minutes.
const defaultIncrement = 60

// maxRows bounds an upload; the largest US wholesale decks have some 200,000.
const maxRows = 1_000_000

// ParseCSV reads the rows of a deck. The first line names the columns. UTF-8
// with or without a byte order mark, LF or CRLF, blank lines anywhere. Every
// problem is reported at once, joined: the Field of each names line and column,
// its text value and rule. Rows are numbered from 1 in the order of the file.
func ParseCSV(r io.Reader) ([]tandem.DeckRow, error) {
	in := bufio.NewReader(r)
	if bom, err := in.Peek(3); err == nil && bytes.Equal(bom, []byte("\xef\xbb\xbf")) {
		in.Discard(3)
	}
	p := parser{csv: csv.NewReader(in)}
	p.csv.FieldsPerRecord = -1 // counted here, with a better message
	p.csv.ReuseRecord = true
	if err := p.header(); err != nil {
		return nil, err
	}
	for p.next() {
		if len(p.rows) > maxRows {
			p.found.add("", fmt.Sprintf("the file has more than %d rows", maxRows), "split the deck")
			break
		}
	}
	p.overlaps()
	if err := p.found.err("file"); err != nil {
		return nil, err
	}
	return p.rows, nil
}

type parser struct {
	csv     *csv.Reader
	columns []string // of the file, by position
	rows    []tandem.DeckRow
	lines   []int // of rows
	found   problems
}

func (p *parser) header() error {
	record, err := p.csv.Read()
	if err != nil {
		return &tandem.Error{Kind: tandem.KindInvalid, Field: "line 1", Message: "the file has no readable first line",
			Mend: "name the columns in it, as in " + strings.Join(Columns(), ","), Err: hideEOF(err)}
	}
	known := Columns()
	for i, name := range record {
		name = strings.ToLower(strings.TrimSpace(name))
		switch {
		case !slices.Contains(known, name):
			p.bad(i, "", fmt.Sprintf("%q is not a column", tandem.Clip(name, 40)), "use "+strings.Join(known, ", "))
		case slices.Contains(p.columns, name):
			p.bad(i, name, fmt.Sprintf("column %q stands there twice", name), "remove one")
		}
		p.columns = append(p.columns, name)
	}
	for _, need := range []string{"prefix", "rate"} {
		if !slices.Contains(p.columns, need) {
			p.bad(0, "", "column "+need+" is missing", "add it; the first line names the columns")
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
	row := tandem.DeckRow{ID: int64(len(p.rows) + 1), InitialInc: defaultIncrement, NextInc: defaultIncrement}
	clean, priced := true, false
	column := map[string]int{}
	for i, cell := range record {
		name := p.columns[i]
		column[name] = i
		cell = strings.TrimSpace(cell)
		if cell == "" {
			continue // the default; an empty prefix is the catch-all
		}
		priced = priced || name == "rate"
		if err := set(&row, name, cell); err != nil {
			p.bad(i, name, err.Message, err.Mend)
			clean = false
		}
	}
	if !priced && !row.Reject {
		p.bad(column["rate"], "rate", "the row has no rate", "write the price per minute, 0 included, or reject = true")
		clean = false
	}
	if clean { // a second message about the same cell would not help
		checkRow(&row, func(name, message, mend string) { p.bad(column[name], name, message, mend) })
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

// overlaps reports prefixes that are priced twice for the same time.
func (p *parser) overlaps() {
	overlaps(p.rows, sorted(p.rows), func(earlier, later int32) {
		p.found.add(fmt.Sprintf("line %d (prefix)", p.lines[later]), overlapMessage(&p.rows[later], fmt.Sprintf("line %d", p.lines[earlier])), overlapMend)
	})
}

// set puts a cell into a row.
func set(row *tandem.DeckRow, name, cell string) *tandem.Error {
	switch name {
	case "prefix":
		if cell[0] == '+' {
			return refuse(cell, "begins with +", "write the digits only: 1425 and +1425 would be one prefix twice")
		}
		row.Prefix = strings.Clone(cell)
	case "destination":
		if len(cell) > 200 || !utf8.ValidString(cell) || strings.ContainsFunc(cell, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }) {
			return refuse(cell, "is not plain text of up to 200 bytes", "write it on one line, as UTF-8")
		}
		row.Destination = strings.Clone(cell)
	case "rate":
		return price(cell, &row.Rate, tandem.ParseRate)
	case "connect_fee":
		return price(cell, &row.ConnectFee, tandem.ParseAmount)
	case "initial_inc":
		return seconds(cell, &row.InitialInc)
	case "next_inc":
		return seconds(cell, &row.NextInc)
	case "effective_from":
		return moment(cell, &row.EffectiveFrom)
	case "effective_to":
		return moment(cell, &row.EffectiveTo)
	case "reject":
		switch strings.ToLower(cell) {
		case "true", "yes", "1":
			row.Reject = true
		case "false", "no", "0":
			row.Reject = false
		default:
			return refuse(cell, "is neither true nor false", "write true, false or nothing")
		}
	}
	return nil
}

func refuse(cell, rule, mend string) *tandem.Error {
	return &tandem.Error{Kind: tandem.KindInvalid, Message: fmt.Sprintf("%q %s", tandem.Clip(cell, 40), rule), Mend: mend}
}

func price[T any](cell string, to *T, parse func(string) (T, error)) *tandem.Error {
	v, err := parse(cell)
	if err != nil {
		var e *tandem.Error
		if errors.As(err, &e) {
			return e
		}
		return refuse(cell, "is not a price", "write digits and a point, as in 0.0085")
	}
	*to = v
	return nil
}

func seconds(cell string, to *int) *tandem.Error {
	n, err := strconv.ParseUint(cell, 10, 31)
	if err != nil {
		return refuse(cell, "is not a whole number of seconds", "write 1 to 3600; 60 is a minute")
	}
	*to = int(n)
	return nil
}

// moment reads an instant (RFC 3339) or a day, which means its first instant in UTC.
func moment(cell string, to *time.Time) *tandem.Error {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, cell); err == nil && t.Year() >= 1970 && t.Year() < 2200 {
			*to = t.UTC()
			return nil
		}
	}
	return refuse(cell, "is not a date", "write 2026-11-01 (UTC) or 2026-11-01T00:00:00-05:00")
}

// WriteCSV writes rows in the form that ParseCSV reads; the same rows come back.
func WriteCSV(w io.Writer, rows []tandem.DeckRow) error {
	out := csv.NewWriter(w)
	if err := out.Write(Columns()); err != nil {
		return err
	}
	date := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.UTC().Format(time.RFC3339Nano)
	}
	for i := range rows {
		r := &rows[i]
		reject := ""
		if r.Reject {
			reject = "true"
		}
		if err := out.Write([]string{r.Prefix, r.Destination, r.Rate.String(), r.ConnectFee.String(), strconv.Itoa(r.InitialInc), strconv.Itoa(r.NextInc),
			date(r.EffectiveFrom), date(r.EffectiveTo), reject}); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}
