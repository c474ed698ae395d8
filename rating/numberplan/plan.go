package numberplan

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"

	"tandem"
)

// Date is the day of the NANPA report that the area codes were taken from.
const Date = "2026-09-21"

//go:embed nanp.txt
var nanpText string

// codes in service by three-digit area code; "" = not in service. Read-only.
var npas = mustParse(nanpText)

// total of all classes in nanp.txt: 372+6+55+21+7+1+18+5.
const total = 485

func mustParse(text string) *[1000]tandem.NumberClass {
	table, err := parse(text)
	if err != nil {
		panic("numberplan: nanp.txt: " + err.Error()) // embedded data: a broken build, not a broken input
	}
	return table
}

// parse reads nanp.txt and checks it against its own counts.
func parse(text string) (*[1000]tandem.NumberClass, error) {
	var table [1000]tandem.NumberClass
	want, got := map[tandem.NumberClass]int{}, map[tandem.NumberClass]int{}
	all := 0
	for n, line := range strings.Split(text, "\n") {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(line, "#") {
			continue
		}
		if len(fields) < 3 {
			return nil, fmt.Errorf("line %d has no codes", n+1)
		}
		class := tandem.NumberClass(fields[0])
		if fields[1] != "+" {
			count, err := strconv.Atoi(fields[1])
			if err != nil {
				return nil, fmt.Errorf("line %d: count %q", n+1, fields[1])
			}
			want[class] = count
		}
		for _, f := range fields[2:] {
			low, high, ranged := strings.Cut(f, "-")
			if !ranged {
				high = low
			}
			from, err1 := strconv.Atoi(low)
			to, err2 := strconv.Atoi(high)
			if err1 != nil || err2 != nil || from < 200 || to > 999 || from > to {
				return nil, fmt.Errorf("line %d: %q is no area code or range", n+1, f)
			}
			for code := from; code <= to; code++ {
				if table[code] != "" {
					return nil, fmt.Errorf("line %d: %d is %s already", n+1, code, table[code])
				}
				table[code] = class
				got[class]++
				all++
			}
		}
	}
	for class, count := range want {
		if got[class] != count {
			return nil, fmt.Errorf("%d codes of class %s, should be %d", got[class], class, count)
		}
	}
	if all != total || len(want) != len(got) {
		return nil, fmt.Errorf("%d codes, should be %d", all, total)
	}
	return &table, nil
}
