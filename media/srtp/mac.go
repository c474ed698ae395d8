package srtp

import (
	"bytes"
	"crypto/aes"
	"crypto/sha1"
	"encoding"
	"encoding/binary"
	"hash"
)

// Scratch is the working memory of whoever handles packets: one per thread or
// goroutine, for all its senders and receivers. It keeps their methods free of
// allocation, and what a call needs of its own between two packets small.
type Scratch struct {
	sha    hash.Hash
	load   encoding.BinaryUnmarshaler // the same object
	state  [stateSize]byte            // what load is given; only the chaining value in it varies
	sum    [sha1.Size]byte
	word   [4]byte
	stream [16 * aes.BlockSize]byte // key stream, made in pieces of at most this
}

// NewScratch makes working memory.
func NewScratch() *Scratch {
	w := &Scratch{sha: sha1.New(), state: savedState()}
	w.load = w.sha.(encoding.BinaryUnmarshaler)
	return w
}

// keyed is HMAC-SHA1 with its key taken in: the chaining values of SHA-1 behind
// the first block of the inner and of the outer hash, which RFC 2104 4 allows to be
// kept in place of the key. These 40 octets an object of crypto/hmac spreads over
// a dozen cache lines.
type keyed struct {
	inner, outer [sha1.Size]byte
}

// The saved state of crypto/sha1: magic, chaining value, block buffer, length.
const (
	chainAt   = 4
	stateSize = chainAt + sha1.Size + sha1.BlockSize + 8
)

// savedState is the state after one block, but for the chaining value.
func savedState() (state [stateSize]byte) {
	copy(state[:], "sha\x01")
	binary.BigEndian.PutUint64(state[stateSize-8:], sha1.BlockSize)
	return state
}

// newKeyed takes a key of at most a block.
func newKeyed(key []byte) keyed {
	return keyed{inner: chain(key, 0x36), outer: chain(key, 0x5c)}
}

// chain is the chaining value behind a block: the key, zeros to its end, all XORed
// with pad (RFC 2104 2).
func chain(key []byte, pad byte) (value [sha1.Size]byte) {
	var block [sha1.BlockSize]byte
	copy(block[:], key)
	for i := range block {
		block[i] ^= pad
	}
	h := sha1.New()
	h.Write(block[:])
	state, err := h.(encoding.BinaryMarshaler).MarshalBinary()
	want := savedState()
	if err == nil && len(state) == stateSize {
		copy(value[:], state[chainAt:])
		copy(want[chainAt:], value[:])
	}
	if !bytes.Equal(state, want[:]) {
		panic("srtp: the saved state of crypto/sha1 has another form") // of a Go that the tests have not seen
	}
	return value
}

// begin goes on from a chaining value.
func (w *Scratch) begin(chain *[sha1.Size]byte) {
	*(*[sha1.Size]byte)(w.state[chainAt:]) = *chain
	if err := w.load.UnmarshalBinary(w.state[:]); err != nil {
		panic("srtp: " + err.Error()) // never: it is a state that crypto/sha1 wrote
	}
}

// tag computes the authentication tag over msg and, for SRTP, the rollover
// counter (RFC 3711 4.2). The result lives until the next call with the same scratch.
func (t *transform) tag(w *Scratch, msg []byte, roc uint32, withROC bool) []byte {
	w.begin(&t.keyed.inner)
	w.sha.Write(msg)
	if withROC {
		binary.BigEndian.PutUint32(w.word[:], roc)
		w.sha.Write(w.word[:])
	}
	w.sha.Sum(w.sum[:0])
	w.begin(&t.keyed.outer)
	w.sha.Write(w.sum[:])
	w.sha.Sum(w.sum[:0])
	return w.sum[:t.tagLen]
}
