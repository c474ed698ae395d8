package api

import (
	"encoding/csv"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"

	"tandem"
)

// csvColumn is one column of report and log as CSV.
type csvColumn struct {
	name  string
	value func(*tandem.CDR) string
}

// reportColumns is the order of the CSV's columns. Programs read them by name:
// new ones go to the end.
func reportColumns() []csvColumn {
	return []csvColumn{
		{"correlation_id", func(c *tandem.CDR) string { return c.Correlation.String() }},
		{"cdr_id", func(c *tandem.CDR) string { return c.ID.String() }},
		{"attempt", func(c *tandem.CDR) string { return strconv.Itoa(c.Attempt) }},
		{"technology", func(c *tandem.CDR) string { return string(c.Technology) }},
		{"network", func(c *tandem.CDR) string { return c.Network }},
		{"trunk", func(c *tandem.CDR) string { return string(c.Trunk) }},
		{"endpoint", func(c *tandem.CDR) string { return c.Endpoint }},
		{"direction", func(c *tandem.CDR) string { return string(c.Direction) }},
		{"account", func(c *tandem.CDR) string { return c.Account }},
		{"tenant_id", func(c *tandem.CDR) string { return c.Tenant.String() }},
		{"did", func(c *tandem.CDR) string { return string(c.DID) }},
		{"user_type", func(c *tandem.CDR) string { return string(c.UserType) }},
		{"plan", func(c *tandem.CDR) string { return string(c.Plan) }},
		{"from", func(c *tandem.CDR) string { return c.From }},
		{"to", func(c *tandem.CDR) string { return c.To }},
		{"invite_time", func(c *tandem.CDR) string { return stamp(&c.InviteTime) }},
		{"ring_time", func(c *tandem.CDR) string { return stamp(c.RingTime) }},
		{"answer_time", func(c *tandem.CDR) string { return stamp(c.AnswerTime) }},
		{"end_time", func(c *tandem.CDR) string { return stamp(&c.EndTime) }},
		{"duration_ms", func(c *tandem.CDR) string { return strconv.FormatUint(uint64(c.DurationMs), 10) }},
		{"pdd_ms", func(c *tandem.CDR) string { return strconv.FormatUint(uint64(c.PDDMs), 10) }},
		{"connected", func(c *tandem.CDR) string { return strconv.FormatBool(c.Connected) }},
		{"failsafe", func(c *tandem.CDR) string { return strconv.FormatBool(c.Failsafe) }},
		{"emergency", func(c *tandem.CDR) string { return strconv.FormatBool(c.Emergency) }},
		{"recovered", func(c *tandem.CDR) string { return strconv.FormatBool(c.Recovered) }},
		{"disposition", func(c *tandem.CDR) string { return string(c.Disposition) }},
		{"outcome", func(c *tandem.CDR) string { return string(c.Outcome) }},
		{"sip_code", func(c *tandem.CDR) string { return strconv.Itoa(int(c.SIPCode)) }},
		{"q850", func(c *tandem.CDR) string { return strconv.Itoa(int(c.Q850)) }},
		{"reason", func(c *tandem.CDR) string { return c.Reason }},
		{"released_by", func(c *tandem.CDR) string { return string(c.ReleasedBy) }},
		{"codec", func(c *tandem.CDR) string { return c.Codec }},
		{"srtp", func(c *tandem.CDR) string { return strconv.FormatBool(c.SRTP) }},
		{"charge", func(c *tandem.CDR) string { return c.Charge.Amount.String() }},
		{"currency", func(c *tandem.CDR) string { return string(c.Charge.Currency) }},
		{"rate_per_minute", func(c *tandem.CDR) string { return c.Charge.Rate.String() }},
		{"billed_s", func(c *tandem.CDR) string { return strconv.FormatInt(c.Charge.BilledS, 10) }},
		{"free_s", func(c *tandem.CDR) string { return strconv.FormatInt(c.Charge.FreeS, 10) }},
		{"charged_s", func(c *tandem.CDR) string { return strconv.FormatInt(c.Charge.ChargedS, 10) }},
		{"number_class", func(c *tandem.CDR) string { return string(c.Charge.Class) }},
		{"deck", func(c *tandem.CDR) string { return c.Charge.DeckID }},
		{"deck_version", func(c *tandem.CDR) string { return strconv.Itoa(c.Charge.DeckVer) }},
		{"deck_row", func(c *tandem.CDR) string { return strconv.FormatInt(c.Charge.DeckRow, 10) }},
		{"sip_call_id", func(c *tandem.CDR) string { return c.SIPCallID }},
		{"cost", func(c *tandem.CDR) string {
			if c.Cost.Currency == "" {
				return ""
			}
			return c.Cost.Amount.String()
		}},
		{"cost_currency", func(c *tandem.CDR) string { return string(c.Cost.Currency) }},
	}
}

func csvColumns() []string {
	var names []string
	for _, c := range reportColumns() {
		names = append(names, c.name)
	}
	return names
}

// stamp prints an instant in UTC with milliseconds; "" when it did not happen.
func stamp(t *time.Time) string {
	if t == nil || t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

// WriteCSV writes rows as RFC 4180 CSV with a header line.
func WriteCSV(w io.Writer, rows []tandem.CDR) error {
	out := csv.NewWriter(w)
	out.UseCRLF = true
	if err := out.Write(csvColumns()); err != nil {
		return err
	}
	columns := reportColumns()
	line := make([]string, len(columns))
	for i := range rows {
		for j, c := range columns {
			line[j] = inert(c.value(&rows[i]))
		}
		if err := out.Write(line); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

var plainNumber = regexp.MustCompile(`^[+-]?[0-9]+(\.[0-9]+)?$`)

// inert keeps a spreadsheet from running a value as a formula: a value that
// begins like one gets a leading apostrophe, which spreadsheets show as text.
// Numbers, and so E.164 numbers, stay as they are. Control characters, line
// breaks among them, become spaces: one row stays one line.
func inert(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, s)
	if trimmed := strings.TrimLeft(s, " \u00a0"); trimmed != "" && strings.ContainsAny(firstRune(trimmed), "=+-@＝＋－＠") && !plainNumber.MatchString(s) {
		return "'" + s
	}
	return s
}

func firstRune(s string) string {
	for _, r := range s {
		return string(r)
	}
	return ""
}
