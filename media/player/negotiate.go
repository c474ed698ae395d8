package player

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/pion/srtp/v3"
)

// OfferOptions vary an offer.
type OfferOptions struct {
	Direction string // sendrecv when empty
	NewKey    bool   // a fresh SRTP key; the roll-over counter restarts at 0 with it
}

// Offer writes an SDP offer. Repeated without NewKey it repeats the keys.
func (s *Stream) Offer(o OfferOptions) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version++
	s.hold = o.Direction == "inactive" || o.Direction == "recvonly"
	switch {
	case !s.opt.Secure:
		s.offered = nil
	case o.NewKey || (s.ours.Key == nil && s.offered == nil):
		s.offered = []Crypto{NewCrypto("1", Suite80)}
		if s.opt.Teams {
			low := NewCrypto("0", Suite32)
			low.MKI, s.offered[0].MKI = []byte{1}, []byte{1}
			s.offered = []Crypto{low, s.offered[0]}
		}
	case s.ours.Key != nil:
		s.offered = []Crypto{s.ours}
	}
	types := []uint8{PCMU, PCMA}
	if s.peer.IsValid() {
		types = []uint8{s.payload}
	}
	return s.write(types, s.offered, o.Direction)
}

// Early takes an answer that is not final: the offer stays open for the next one.
func (s *Stream) Early(body []byte) error {
	s.mu.Lock()
	offered := s.offered
	s.mu.Unlock()
	err := s.Answered(body)
	s.mu.Lock()
	s.offered = offered
	s.early = true
	s.mu.Unlock()
	return err
}

// Answered takes the answer to our last offer and starts sending.
func (s *Stream) Answered(body []byte) error {
	d, err := ParseSDP(body)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.offered) == 0 {
		if d.Secure() {
			return errors.New("answer has profile " + d.Profile + ", RTP/AVP was offered")
		}
		return s.use(d, Crypto{}, Crypto{})
	}
	if !d.Secure() || len(d.Cryptos) != 1 {
		return fmt.Errorf("answer to RTP/SAVP has profile %s and %d crypto lines, must be RTP/SAVP and 1", d.Profile, len(d.Cryptos))
	}
	theirs := d.Cryptos[0]
	for _, ours := range s.offered {
		if ours.Tag == theirs.Tag && ours.Suite == theirs.Suite {
			if theirs.MKI == nil {
				ours.MKI = nil // not echoed: the MKI is not in the packets
			}
			return s.use(d, ours, theirs)
		}
	}
	return fmt.Errorf("answer chose crypto tag %s suite %s, which was not offered", theirs.Tag, theirs.Suite)
}

// Answer takes an offer and writes the answer. The direction answers the
// offer's (RFC 3264 6.1).
func (s *Stream) Answer(offer []byte) ([]byte, error) {
	d, err := ParseSDP(offer)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	codec, ok := d.Codec()
	if !ok {
		return nil, errors.New("offer has neither PCMU nor PCMA")
	}
	var ours, theirs Crypto
	if d.Secure() {
		if theirs, ok = d.Find(Suite80); !ok {
			return nil, errors.New("offer has no " + Suite80)
		}
		ours = s.ours
		if ours.Key == nil || ours.Suite != theirs.Suite {
			ours = NewCrypto(theirs.Tag, Suite80)
		}
		ours.Tag, ours.MKI = theirs.Tag, nil
		theirs.MKI = nil
	} else if s.opt.Secure {
		return nil, errors.New("offer is not RTP/SAVP")
	}
	s.version++
	if err := s.use(d, ours, theirs); err != nil {
		return nil, err
	}
	answer := map[string]string{"sendonly": "recvonly", "recvonly": "sendonly", "inactive": "inactive"}[d.Direction]
	var cryptos []Crypto
	if ours.Key != nil {
		cryptos = []Crypto{ours}
	}
	return s.write([]uint8{codec}, cryptos, answer), nil
}

// use applies an agreed description. Unchanged keys keep their contexts, and
// with them the roll-over counter.
func (s *Stream) use(d *Description, ours, theirs Crypto) error {
	codec, ok := d.Codec()
	if !ok {
		return errors.New("neither PCMU nor PCMA agreed")
	}
	if !d.Addr.IsValid() || d.Addr.Addr().IsUnspecified() && d.Addr.Port() != 0 {
		if d.Direction != "inactive" && !d.Addr.Addr().IsUnspecified() {
			return errors.New("description has no address")
		}
	}
	if ours.Key != nil {
		if err := s.keys(ours, theirs); err != nil {
			return err
		}
	} else {
		s.encrypt, s.decrypt = nil, nil
	}
	s.ours, s.theirs, s.offered = ours, theirs, nil
	switch {
	case !s.peer.IsValid() || !s.opt.Teams || s.early:
		s.peer, s.early = d.Addr, false
	case s.peer != d.Addr:
		s.retargets++
	}
	s.peerRTCP = netip.AddrPortFrom(s.peer.Addr(), s.peer.Port()+1)
	s.direction = d.Direction
	if s.rtp == nil {
		s.payload = codec
		return nil
	}
	if s.frames == nil || codec != s.payload {
		s.payload = codec
		s.frames = s.sound().encode(codec)
		s.frame = 0
	}
	s.sending = s.peer.Port() != 0 && !s.peer.Addr().IsUnspecified() && (d.Direction == "sendrecv" || d.Direction == "recvonly") && s.opt.Source != Echo
	s.heard.reset()
	return nil
}

func (s *Stream) keys(ours, theirs Crypto) error {
	profile, ok := ours.profile()
	if !ok {
		return errors.New("SRTP suite " + ours.Suite + " is unknown")
	}
	context := func(c Crypto) (*srtp.Context, error) {
		options := []srtp.ContextOption{srtp.SRTPReplayProtection(128), srtp.SRTCPReplayProtection(128)}
		if c.MKI != nil {
			options = append(options, srtp.MasterKeyIndicator(c.MKI))
		}
		return srtp.CreateContext(c.Key[:16], c.Key[16:], profile, options...)
	}
	if s.encrypt == nil || string(ours.Key) != string(s.ours.Key) || string(ours.MKI) != string(s.ours.MKI) {
		ctx, err := context(ours)
		if err != nil {
			return fmt.Errorf("SRTP key of ours: %w", err)
		}
		s.encrypt = ctx
	}
	if s.decrypt == nil || string(theirs.Key) != string(s.theirs.Key) || string(theirs.MKI) != string(s.theirs.MKI) {
		ctx, err := context(theirs)
		if err != nil {
			return fmt.Errorf("SRTP key of the peer: %w", err)
		}
		s.decrypt = ctx
	}
	return nil
}

func (s *Stream) sound() sound {
	switch s.opt.Source {
	case Noise:
		return noiseSound(s.header.SSRC)
	case Sweep:
		return sweepSound(300, 3000)
	case Silence, Echo:
		return sound{[samples]int16{}}
	}
	return toneSound(s.opt.Hz)
}

// write prints our description.
func (s *Stream) write(types []uint8, cryptos []Crypto, direction string) []byte {
	if direction == "" {
		direction = "sendrecv"
	}
	profile, family := "RTP/AVP", "IP4"
	if cryptos != nil {
		profile = "RTP/SAVP"
	}
	if s.local.Addr().Is6() {
		family = "IP6"
	}
	var b strings.Builder
	session := "0"
	if s.opt.Teams {
		session = "1" // constant per stream; the version counts
	}
	fmt.Fprintf(&b, "v=0\r\no=- %s %d IN %s %s\r\ns=session\r\nc=IN %s %s\r\nt=0 0\r\n", session, s.version, family, s.local.Addr(), family, s.local.Addr())
	list := make([]string, 0, 6)
	if s.opt.Teams && len(types) > 1 {
		list = append(list, "104", "103") // SILK wide and narrow band come first
	}
	for _, t := range types {
		list = append(list, strconv.Itoa(int(t)))
	}
	if s.opt.Teams && len(types) > 1 {
		list = append(list, "13")
	}
	list = append(list, "101")
	fmt.Fprintf(&b, "m=audio %d %s %s\r\n", s.local.Port(), profile, strings.Join(list, " "))
	fmt.Fprintf(&b, "a=rtcp:%d\r\n", s.local.Port()+1)
	for _, c := range cryptos {
		b.WriteString(c.String() + "\r\n")
	}
	if s.opt.Teams && len(types) > 1 {
		b.WriteString("a=rtpmap:104 SILK/16000\r\na=rtpmap:103 SILK/8000\r\na=rtpmap:13 CN/8000\r\n")
	}
	for _, t := range types {
		fmt.Fprintf(&b, "a=rtpmap:%d %s/8000\r\n", t, codecName(t))
	}
	b.WriteString("a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=" + direction + "\r\n")
	return []byte(b.String())
}
