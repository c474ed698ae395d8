package core

// clean reports whether s can stand in a header line: no CR, LF, NUL or other
// control character besides HTAB. A bare LF passes sipgo's parser inside a
// value and would begin a new header at a lenient peer.
func clean(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' && s[i] != '\t' || s[i] == 0x7f {
			return false
		}
	}
	return true
}
