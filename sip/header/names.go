package header

// ID names a header that the engine reads, whatever case or short form the
// peer wrote it in. 0 = none of them.
type ID uint8

// The headers that the engine reads besides those that sipgo parses.
const (
	Accept ID = iota + 1
	Allow
	AllowEvents
	ContentDisposition
	ContentEncoding
	Diversion
	Event
	Geolocation
	GeolocationRouting
	HistoryInfo
	InfoPackage
	MinSE
	PAssertedIdentity
	Privacy
	ProxyRequire
	RAck
	Reason
	ReferTo
	ReferredBy
	Replaces
	Require
	RetryAfter
	RSeq
	Server
	SessionExpires
	Supported
	Unsupported
	UserAgent
	TenantID
	CorrelationID
)

const longestName = 24

// Lookup finds a header by name: case does not matter and the short forms of
// RFC 3261 7.3.3 and its extensions (k, x, e, o, r, b, u) are known. It does not allocate.
func Lookup(name string) ID {
	var low [longestName]byte
	if len(name) > longestName {
		return 0
	}
	for i := 0; i < len(name); i++ {
		c := name[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		low[i] = c
	}
	switch string(low[:len(name)]) {
	case "accept":
		return Accept
	case "allow":
		return Allow
	case "allow-events", "u":
		return AllowEvents
	case "content-disposition":
		return ContentDisposition
	case "content-encoding", "e":
		return ContentEncoding
	case "diversion":
		return Diversion
	case "event", "o":
		return Event
	case "geolocation":
		return Geolocation
	case "geolocation-routing":
		return GeolocationRouting
	case "history-info":
		return HistoryInfo
	case "info-package":
		return InfoPackage
	case "min-se":
		return MinSE
	case "p-asserted-identity":
		return PAssertedIdentity
	case "privacy":
		return Privacy
	case "proxy-require":
		return ProxyRequire
	case "rack":
		return RAck
	case "reason":
		return Reason
	case "refer-to", "r":
		return ReferTo
	case "referred-by", "b":
		return ReferredBy
	case "replaces":
		return Replaces
	case "require":
		return Require
	case "retry-after":
		return RetryAfter
	case "rseq":
		return RSeq
	case "server":
		return Server
	case "session-expires", "x":
		return SessionExpires
	case "supported", "k":
		return Supported
	case "unsupported":
		return Unsupported
	case "user-agent":
		return UserAgent
	case "x-ms-tenantid":
		return TenantID
	case "x-correlation-id":
		return CorrelationID
	}
	return 0
}
