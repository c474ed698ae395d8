package numberplan

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"time"

	"tandem"
)

//go:embed nanp.txt
var nanpText string

//go:embed states.txt
var statesText string

// data is the numbering plan of one day. It is read-only.
type data struct {
	date   string                   // of the report, as in 2026-09-21
	npas   [1000]tandem.NumberClass // by area code; "" = not in service
	states [1000]string             // of US area codes, two letters
}

var plan = mustParse(nanpText, statesText)

// Date is the day of the NANPA report that the area codes were taken from.
func Date() string { return plan.date }

// total of all classes in nanp.txt: 372+6+55+21+7+1+18+5.
const total = 485

func mustParse(nanp, states string) *data {
	d, err := parse(nanp, states)
	if err != nil {
		panic("numberplan: " + err.Error()) // embedded data: a broken build, not a broken input
	}
	return d
}

// parse reads nanp.txt and states.txt and checks them against their own counts
// and each other.
func parse(nanp, states string) (*data, error) {
	d := &data{}
	if err := d.readClasses(nanp); err != nil {
		return nil, fmt.Errorf("nanp.txt: %w", err)
	}
	if err := d.readStates(states); err != nil {
		return nil, fmt.Errorf("states.txt: %w", err)
	}
	return d, nil
}

func (d *data) readClasses(text string) error {
	want, got := map[tandem.NumberClass]int{}, map[tandem.NumberClass]int{}
	all := 0
	for n, line := range strings.Split(text, "\n") {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(line, "#") {
			continue
		}
		if len(fields) == 2 && fields[0] == "date" {
			d.date = fields[1]
			continue
		}
		if len(fields) < 3 {
			return fmt.Errorf("line %d has no codes", n+1)
		}
		class := tandem.NumberClass(fields[0])
		if fields[1] != "+" {
			count, err := strconv.Atoi(fields[1])
			if err != nil {
				return fmt.Errorf("line %d: count %q", n+1, fields[1])
			}
			want[class] = count
		}
		for _, f := range fields[2:] {
			from, to, err := codeRange(f)
			if err != nil {
				return fmt.Errorf("line %d: %w", n+1, err)
			}
			for code := from; code <= to; code++ {
				if d.npas[code] != "" {
					return fmt.Errorf("line %d: %d is %s already", n+1, code, d.npas[code])
				}
				d.npas[code] = class
				got[class]++
				all++
			}
		}
	}
	for class, count := range want {
		if got[class] != count {
			return fmt.Errorf("%d codes of class %s, should be %d", got[class], class, count)
		}
	}
	if all != total || len(want) != len(got) {
		return fmt.Errorf("%d codes, should be %d", all, total)
	}
	if _, err := time.Parse(time.DateOnly, d.date); err != nil {
		return fmt.Errorf("no line with the date of the report: %w", err)
	}
	return nil
}

// codeRange reads "201" or "201-203".
func codeRange(s string) (from, to int, err error) {
	low, high, ranged := strings.Cut(s, "-")
	if !ranged {
		high = low
	}
	from, err1 := strconv.Atoi(low)
	to, err2 := strconv.Atoi(high)
	if err1 != nil || err2 != nil || from < 200 || to > 999 || from > to {
		return 0, 0, fmt.Errorf("%q is no area code or range", s)
	}
	return from, to, nil
}

func (d *data) readStates(text string) error {
	for n, line := range strings.Split(text, "\n") {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(line, "#") {
			continue
		}
		for _, f := range fields[1:] {
			code, _, err := codeRange(f)
			switch {
			case err != nil:
				return fmt.Errorf("line %d: %w", n+1, err)
			case d.states[code] != "" || len(fields[0]) != 2:
				return fmt.Errorf("line %d: %d is in %s already, or %q is no state", n+1, code, d.states[code], fields[0])
			}
			d.states[code] = fields[0]
		}
	}
	for code, class := range d.npas {
		american := class == tandem.ClassUS || class == tandem.ClassUSTerritory
		if american != (d.states[code] != "") {
			return fmt.Errorf("area code %d is %s and in state %q", code, class, d.states[code])
		}
	}
	return nil
}
