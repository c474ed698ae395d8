package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"tandem"
)

// printTable writes rows under a heading with columns as wide as their
// contents. Control characters in values are made visible: a terminal acts on them.
func printTable(w io.Writer, heading []string, rows [][]string) {
	width := make([]int, len(heading))
	all := append([][]string{heading}, rows...)
	for _, row := range all {
		for i := range row {
			row[i] = tandem.Clip(row[i], 120)
			width[i] = max(width[i], utf8.RuneCountInString(row[i]))
		}
	}
	for n, row := range all {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(cell)
			if i < len(row)-1 {
				line.WriteString(strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell)+2))
			}
		}
		fmt.Fprintln(w, line.String())
		if n == 0 {
			fmt.Fprintln(w, strings.Repeat("-", utf8.RuneCountInString(line.String())))
		}
	}
}
