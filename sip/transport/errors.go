package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"tandem"
)

// unavailable is how the failure of a peer or of the way to it is reported.
func unavailable(what, why, mend string, err error) *tandem.Error {
	return &tandem.Error{Kind: tandem.KindUnavailable, Message: what + ": " + why, Mend: mend, Err: err}
}

var errClosed = &tandem.Error{Kind: tandem.KindUnavailable, Message: "the SIP sockets are closed"}

// explain names the cause of a dial, handshake or connection failure in words
// that lead to its cure. what is "tls sip.example.com:5061 (192.0.2.1)".
func explain(what string, err error) *tandem.Error {
	var (
		known    *tandem.Error
		expired  x509.CertificateInvalidError
		name     x509.HostnameError
		unknown  x509.UnknownAuthorityError
		dns      *net.DNSError
		notTLS   tls.RecordHeaderError
		timeouts interface{ Timeout() bool }
	)
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &expired):
		switch expired.Reason {
		case x509.Expired:
			return unavailable(what, "the peer's certificate has expired or is not valid yet", "the peer must renew it; compare the clocks", err)
		case x509.IncompatibleUsage:
			return unavailable(what, "the peer's certificate is for another use", "it needs the server or client authentication usage", err)
		}
		return unavailable(what, "the peer's certificate is not valid", "ask the peer for a valid chain", err)
	case errors.As(err, &name):
		return unavailable(what, "the peer's certificate has another name", "add its name to the trunk's tls_names, or correct the endpoint's host", err)
	case errors.As(err, &unknown):
		return unavailable(what, "the peer's certificate is signed by an unknown root, or an intermediate is missing", "add the root to sip.roots, if you trust it", err)
	case remoteAlert(err) >= 0:
		alert := tls.AlertError(remoteAlert(err))
		return unavailable(what, "the peer refused the TLS connection ("+strings.TrimPrefix(alert.Error(), "tls: ")+")", alertMend(alert), err)
	case strings.Contains(err.Error(), noCertificate):
		return unavailable(what, "the peer sent no certificate", "the peer must present a client certificate: mutual TLS", err)
	case errors.As(err, &notTLS):
		return unavailable(what, "the peer does not speak TLS on this port", "correct the endpoint's port or the trunk's transport", err)
	case errors.As(err, &dns):
		if dns.IsNotFound {
			return unavailable(what, "the name does not exist in DNS", "correct the endpoint's host", err)
		}
		return unavailable(what, "the name can't be resolved now", "look at the DNS servers of this machine", err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return unavailable(what, "connection refused", "nothing listens there; correct the port, or wait for the peer", err)
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return unavailable(what, "the peer reset the connection", "", err)
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return unavailable(what, "there is no way to this address", "look at routes and firewalls", err)
	case errors.Is(err, syscall.EMSGSIZE):
		return &tandem.Error{Kind: tandem.KindTooLarge, Message: what + ": the message does not fit into a datagram", Mend: "use TCP or TLS for this trunk", Err: err}
	case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
		return unavailable(what, "the peer closed the connection", "", err)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeouts) && timeouts.Timeout():
		return unavailable(what, "no answer in time", "look at firewalls on the way", err)
	}
	return unavailable(what, "the connection failed", "", err)
}

// noCertificate is how crypto/tls words a client without a certificate; the
// error has no type of its own.
const noCertificate = "client didn't provide a certificate"

// remoteAlert is the TLS alert that a peer sent, -1 if err is none. crypto/tls
// wraps it in a net.OpError whose inner type is not exported but prints as the
// exported one does.
func remoteAlert(err error) int {
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "remote error" || op.Err == nil {
		return -1
	}
	text := op.Err.Error()
	for n := range 256 {
		if tls.AlertError(n).Error() == text {
			return n
		}
	}
	return -1
}

// alertMend leads from a TLS alert (RFC 8446 6) to its usual cause on SIP trunks.
func alertMend(alert tls.AlertError) string {
	switch uint8(alert) {
	case 40, 116: // handshake_failure, certificate_required
		return "the peer wants a client certificate or shares no cipher with us; set the trunk's certificate"
	case 42, 43, 44, 45, 46, 48, 49: // bad, unsupported, revoked, expired, unknown certificate; unknown CA; access denied
		return "the peer does not accept our certificate: compare its name, dates and chain (with intermediates) with what the peer expects"
	case 70: // protocol_version
		return "the peer speaks no TLS 1.2 or newer"
	case 112: // unrecognized_name
		return "the peer does not know the name that we asked for: correct the endpoint's host"
	}
	return ""
}

// describe names a target in messages.
func describe(transport tandem.Transport, host string, port uint16) string {
	return fmt.Sprintf("%s %s:%d", strings.ToLower(string(transport)), tandem.Clip(host, 80), port)
}
