package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"tandem"
)

// count is a number with its noun.
func count(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + one + "s"
}

// byCallInOrder puts the rows of a call together, at the place of its first row
// and in the order of its legs: ClickHouse sorts by the INVITE time of each leg.
func byCallInOrder(rows []tandem.CDR) []tandem.CDR {
	first := map[tandem.CorrelationID]int{}
	for i, r := range rows {
		if _, known := first[r.Correlation]; !known {
			first[r.Correlation] = i
		}
	}
	rows = slices.Clone(rows)
	slices.SortStableFunc(rows, func(a, b tandem.CDR) int {
		return cmp.Or(cmp.Compare(first[a.Correlation], first[b.Correlation]), cmp.Compare(a.Attempt, b.Attempt))
	})
	return rows
}

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
