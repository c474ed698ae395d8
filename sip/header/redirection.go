package header

import (
	"strconv"
	"strings"
)

// NextIndex is the index of the entry that follows a History-Info list when
// the request is retargeted once more: the last index with ".1" (RFC 7044 10.3).
func NextIndex(list []Address) string {
	last := "1"
	for _, a := range list {
		if v, ok := a.Param("index"); ok && validIndex(v) {
			last = v
		}
	}
	return last + ".1"
}

func validIndex(s string) bool {
	if s == "" || len(s) > 60 {
		return false
	}
	for _, part := range strings.Split(s, ".") {
		if n, err := strconv.Atoi(part); err != nil || n < 0 || part[0] == '+' {
			return false
		}
	}
	return true
}

// AppendHistory prints the two entries that tell a forward: who was called,
// with the reason in the URI (RFC 7044 8), and who is called instead (RFC 4458
// cause). from and to are complete URIs without parameters; index is that of the first entry.
func AppendHistory(b []byte, from, to, index string, cause int) []byte {
	b = append(b, '<')
	b = AppendText(b, from)
	b = append(b, ";user=phone?Reason=SIP%3Bcause%3D"...)
	b = strconv.AppendInt(b, int64(cause), 10)
	b = append(b, ">;index="...)
	b = AppendText(b, index)
	b = append(b, ",<"...)
	b = AppendText(b, to)
	b = append(b, ";user=phone;cause="...)
	b = strconv.AppendInt(b, int64(cause), 10)
	b = append(b, ">;index="...)
	b = AppendText(b, index)
	b = append(b, ".1;mp="...)
	return AppendText(b, index)
}

// AppendDiversion prints one Diversion entry (RFC 5806 4). uri is complete.
func AppendDiversion(b []byte, uri, reason string, counter int) []byte {
	b = append(b, '<')
	b = AppendText(b, uri)
	b = append(b, ">;reason="...)
	b = AppendText(b, reason)
	b = append(b, ";counter="...)
	b = strconv.AppendInt(b, int64(counter), 10)
	return append(b, ";privacy=off;screen=yes"...)
}
