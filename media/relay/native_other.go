//go:build !linux

package relay

// newNative falls back where there is no epoll.
func newNative(p *Pool) (network, error) { return newPlain(p), nil }
