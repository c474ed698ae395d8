package player

// G.711 (ITU-T G.711): 16-bit linear samples to 8 bits and back.

// EncodeULaw compresses one sample (PCMU, RTP payload type 0).
func EncodeULaw(sample int16) byte {
	const bias, clip = 0x84, 32635
	s := int(sample)
	sign := byte(0)
	if s < 0 {
		s, sign = -s, 0x80
	}
	s = min(s, clip) + bias
	exponent := byte(7)
	for mask := 0x4000; s&mask == 0 && exponent > 0; mask >>= 1 {
		exponent--
	}
	mantissa := byte(s>>(exponent+3)) & 0x0f
	return ^(sign | exponent<<4 | mantissa)
}

// DecodeULaw expands one PCMU byte.
func DecodeULaw(u byte) int16 {
	u = ^u
	s := (int(u&0x0f)<<3 + 0x84) << (u >> 4 & 7)
	s -= 0x84
	if u&0x80 != 0 {
		s = -s
	}
	return int16(s)
}

// EncodeALaw compresses one sample (PCMA, RTP payload type 8).
func EncodeALaw(sample int16) byte {
	s := int(sample) >> 3
	sign := byte(0x55 | 0x80)
	if s < 0 {
		s, sign = -s-1, 0x55
	}
	if s < 32 {
		return byte(s>>1) ^ sign
	}
	exponent := byte(1)
	for s > 63 && exponent < 7 {
		s >>= 1
		exponent++
	}
	return (exponent<<4 | byte(min(s, 63)>>1)&0x0f) ^ sign
}

// DecodeALaw expands one PCMA byte.
func DecodeALaw(a byte) int16 {
	a ^= 0x55
	s := int(a&0x0f)<<4 + 8
	if exponent := a >> 4 & 7; exponent > 0 {
		s = (s + 0x100) << (exponent - 1)
	}
	if a&0x80 == 0 {
		s = -s
	}
	return int16(s)
}
