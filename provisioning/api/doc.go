// Package api offers the operations of provisioning.Service over HTTP, with an
// OpenAPI 3.1 description at /openapi.json made from the same code.
//
// Errors are problem documents (RFC 9457) with the extension members kind,
// field and mend; a broken apply document lists every problem under errors.
//
// Who may ask: on a loopback address reading is free and changing needs the
// bearer token; on any other address everything but /healthz needs it (browsers
// may give it as the password of HTTP Basic). Requests that a foreign web page
// makes a browser send are refused: by the Host header on loopback (DNS
// rebinding), by Sec-Fetch-Site and Origin for changes.
//
// The package starts no goroutine of its own.
package api
