package api

import (
	"bytes"
	"encoding/csv"
	"strings"
	"testing"

	"tandem"
)

func TestInert(t *testing.T) {
	for value, want := range map[string]string{
		"+14255550100":   "+14255550100",
		"-0.008500":      "-0.008500",
		"":               "",
		"contoso":        "contoso",
		"=1+1":           "'=1+1",
		"+cmd|' /C calc": "'+cmd|' /C calc",
		"+1-2":           "'+1-2",
		"-2+3":           "'-2+3",
		"@SUM(A1)":       "'@SUM(A1)",
		"\t=1":           "' =1",
		"  =1":           "'  =1",
		"＝1":             "'＝1",
		"a\r\nb":         "a  b",
	} {
		if got := inert(value); got != want {
			t.Errorf("inert(%q) = %q, want %q", value, got, want)
		}
	}
}

// FuzzCSV: any text stays one cell of one row and never begins a formula.
func FuzzCSV(f *testing.F) {
	f.Add("=1+1")
	f.Add("+1425\r\n\"x\"")
	f.Fuzz(func(t *testing.T, text string) {
		var b bytes.Buffer
		if err := WriteCSV(&b, []tandem.CDR{{From: text, To: "+14255550100"}}); err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(&b).ReadAll()
		if err != nil || len(rows) != 2 {
			t.Fatalf("%d rows, %v", len(rows), err)
		}
		for i, name := range rows[0] {
			if cell := rows[1][i]; name == "from" && cell != "" && strings.ContainsAny(cell[:1], "=@+-\t\r\n") && !plainNumber.MatchString(cell) {
				t.Errorf("cell %q", cell)
			}
		}
	})
}
