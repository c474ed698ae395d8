package srtp

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
)

// MaxPacket is the longest packet that can be protected or opened, in octets.
const MaxPacket = 2048

// Labels of the key derivation (RFC 3711 4.3.2).
const (
	labelRTP  = 0x00
	labelRTCP = 0x03
)

// transform holds the session keys of SRTP or SRTCP. It never changes.
type transform struct {
	block     cipher.Block
	high, low uint64 // session salt, shifted left by 16 bits: k_s * 2^16
	keyed     keyed
	tagLen    uint8
}

// newTransform derives session keys with rate 0: once per master key (RFC 3711 4.3.1).
func newTransform(k *Key, label byte, tagLen int) transform {
	master, err := aes.NewCipher(k.Master[:])
	if err != nil {
		panic("srtp: " + err.Error()) // only for another key size, which the type excludes
	}
	var key, salt [16]byte
	var auth [20]byte
	derive(master, k, label, key[:])
	derive(master, k, label+1, auth[:])
	derive(master, k, label+2, salt[:SaltSize])
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic("srtp: " + err.Error())
	}
	return transform{
		block: block, high: binary.BigEndian.Uint64(salt[:]), low: binary.BigEndian.Uint64(salt[8:]),
		keyed: newKeyed(auth[:]), tagLen: uint8(tagLen),
	}
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
// enciphered one by one because cipher.NewCTR would allocate for each packet; all
// are laid out before the first is enciphered, so that none waits for its own bytes.
func (t *transform) crypt(w *Scratch, data []byte, ssrc uint32, index uint64) {
	block, high, low := t.block, t.high^uint64(ssrc), t.low^index<<16
	for len(data) > 0 {
		n := min(len(data), len(w.stream))
		stream := w.stream[:(n+aes.BlockSize-1)&^(aes.BlockSize-1)]
		for b := stream; len(b) >= aes.BlockSize; b = b[aes.BlockSize:] {
			binary.BigEndian.PutUint64(b, high)
			binary.BigEndian.PutUint64(b[8:], low)
			low++ // its last 16 bits are the block counter
		}
		for b := stream; len(b) >= aes.BlockSize; b = b[aes.BlockSize:] {
			block.Encrypt(b[:aes.BlockSize], b[:aes.BlockSize])
		}
		subtle.XORBytes(data[:n], data[:n], stream)
		data = data[n:]
	}
}

// warm brings the lines of the keys near. The key schedule is out of our reach
// behind the interface; to encipher a block is what touches it.
func (t *transform) warm(w *Scratch) {
	t.block.Encrypt(w.stream[:aes.BlockSize], w.stream[:aes.BlockSize])
}

// valid compares tags in constant time.
func valid(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }
