package srtp

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/binary"
	"hash"
)

// MaxPacket is the longest packet that can be protected or opened, in octets.
const MaxPacket = 2048

// chunk is how much key stream is made at a time.
const chunk = 8 * aes.BlockSize

// Labels of the key derivation (RFC 3711 4.3.2).
const (
	labelRTP  = 0x00
	labelRTCP = 0x03
)

// transform holds the session keys of SRTP or SRTCP and the scratch memory that
// keeps its methods free of allocation.
type transform struct {
	block  cipher.Block
	mac    hash.Hash
	salt   [16]byte // session salt, shifted left by 16 bits: k_s * 2^16
	tagLen int
	ctr    [16]byte
	word   [4]byte
	sum    [sha1.Size]byte
	stream [chunk]byte
}

// newTransform derives session keys with rate 0: once per master key (RFC 3711 4.3.1).
func newTransform(k *Key, label byte, tagLen int) *transform {
	master, err := aes.NewCipher(k.Master[:])
	if err != nil {
		panic("srtp: " + err.Error()) // only for another key size, which the type excludes
	}
	var key [16]byte
	var auth [20]byte
	t := &transform{tagLen: tagLen}
	derive(master, k, label, key[:])
	derive(master, k, label+1, auth[:])
	derive(master, k, label+2, t.salt[:SaltSize])
	if t.block, err = aes.NewCipher(key[:]); err != nil {
		panic("srtp: " + err.Error())
	}
	t.mac = hmac.New(sha1.New, auth[:])
	return t
}

// derive is the AES-CM pseudo-random function: x = salt XOR label * 2^48, and the
// key stream from x * 2^16 (RFC 3711 4.3.3).
func derive(master cipher.Block, k *Key, label byte, out []byte) {
	var x, b [16]byte
	copy(x[:], k.Salt[:])
	x[7] ^= label
	for i := uint16(0); len(out) > 0; i++ {
		binary.BigEndian.PutUint16(x[14:], i)
		master.Encrypt(b[:], x[:])
		n := copy(out, b[:])
		out = out[n:]
	}
}

// crypt XORs data with the key stream of a packet (RFC 3711 4.1.1):
// IV = (k_s * 2^16) XOR (SSRC * 2^64) XOR (i * 2^16). index is the 48-bit packet
// index. Encryption and decryption are the same. The counter blocks are
// enciphered one by one because cipher.NewCTR would allocate for each packet.
func (t *transform) crypt(data []byte, ssrc uint32, index uint64) {
	t.ctr = t.salt
	binary.BigEndian.PutUint32(t.ctr[4:], binary.BigEndian.Uint32(t.ctr[4:])^ssrc)
	high := binary.BigEndian.Uint64(t.ctr[8:]) ^ index<<16
	binary.BigEndian.PutUint64(t.ctr[8:], high)
	for ctr := uint16(0); len(data) > 0; {
		n := min(len(data), chunk)
		for at := 0; at < n; at += aes.BlockSize {
			binary.BigEndian.PutUint16(t.ctr[14:], ctr)
			t.block.Encrypt(t.stream[at:at+aes.BlockSize], t.ctr[:])
			ctr++
		}
		subtle.XORBytes(data[:n], data[:n], t.stream[:n])
		data = data[n:]
	}
}

// tag computes the authentication tag over msg and, for SRTP, the rollover
// counter (RFC 3711 4.2). The result lives until the next call.
func (t *transform) tag(msg []byte, roc uint32, withROC bool) []byte {
	t.mac.Reset()
	t.mac.Write(msg)
	if withROC {
		binary.BigEndian.PutUint32(t.word[:], roc)
		t.mac.Write(t.word[:])
	}
	return t.mac.Sum(t.sum[:0])[:t.tagLen]
}

// valid compares tags in constant time.
func valid(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }
