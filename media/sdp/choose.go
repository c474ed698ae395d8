package sdp

import (
	"fmt"
	"net/netip"
	"strings"

	"tandem"
	"tandem/media/srtp"
)

// secured is how an offered or answered stream is protected.
type secured struct {
	on     bool
	crypto srtp.Crypto // the author's key, valid when on
}

// rtp reports an RTP profile over UDP that we can carry: AVP, AVPF, SAVP, SAVPF,
// and the DTLS spelling, which is usable when an SDES key comes with it.
func rtp(proto string) bool {
	switch proto {
	case "RTP/AVP", "RTP/AVPF", "RTP/SAVP", "RTP/SAVPF", "UDP/TLS/RTP/SAVP", "UDP/TLS/RTP/SAVPF":
		return true
	}
	return false
}

func savp(proto string) bool { return strings.Contains(proto, "SAVP") }

// best is the crypto attribute to choose: the 80-bit tag wherever it stands in
// the list. Microsoft takes no other (microsoft-teams-trunk.md 7).
func best(list []srtp.Crypto, teams bool) (srtp.Crypto, bool) {
	for _, c := range list {
		if c.Key.Suite == srtp.AESCM80 {
			return c, true
		}
	}
	if len(list) > 0 && !teams {
		return list[0], true
	}
	return srtp.Crypto{}, false
}

// protection decides whether a stream is usable under a trunk's mode.
func protection(m *Media, p *tandem.MediaProfile) (secured, error) {
	key, has := best(m.Crypto, p.Teams)
	switch {
	case p.SRTP == tandem.SRTPRequired && !has:
		return secured{}, conflict("SRTP is required on this trunk, and "+m.Proto+" came without a usable key",
			"offer RTP/SAVP with a=crypto AES_CM_128_HMAC_SHA1_80 (RFC 4568)")
	case p.SRTP == tandem.SRTPOff && savp(m.Proto):
		return secured{}, conflict("SRTP is switched off on this trunk, and "+m.Proto+" came", "offer RTP/AVP")
	case p.SRTP == tandem.SRTPOff, !has && !savp(m.Proto):
		return secured{}, nil
	case !has:
		return secured{}, conflict(m.Proto+" came without a key that can be used", "send a=crypto AES_CM_128_HMAC_SHA1_80 (RFC 4568)")
	}
	return secured{on: true, crypto: key}, nil
}

// choose finds the audio stream of an offer to carry: the one in use, else the first
// secured one that the trunk allows, else the first it allows.
func choose(d *Description, p *tandem.MediaProfile, current int) (index int, s secured, err error) {
	index = -1
	try := func(i int) bool {
		m := &d.Media[i]
		if m.Kind != "audio" || m.Port == 0 || !rtp(m.Proto) {
			return false
		}
		sec, e := protection(m, p)
		if e != nil {
			if err == nil {
				err = e
			}
			return false
		}
		if index < 0 || sec.on && !s.on {
			index, s = i, sec
		}
		return true
	}
	if current >= 0 && current < len(d.Media) && try(current) {
		return index, s, nil
	}
	for i := range d.Media {
		try(i)
	}
	switch {
	case index >= 0:
		return index, s, nil
	case err != nil:
		return 0, secured{}, err
	}
	return 0, secured{}, conflict("no audio stream that can be carried is offered", "offer m=audio over RTP with a port")
}

// usable checks that media can be sent to where a stream wants it. A held stream needs no address.
func usable(m *Media, local netip.Addr) error {
	a := m.Addr
	switch {
	case m.Hold:
		return nil
	case m.HostName != "":
		return conflict(fmt.Sprintf("the connection address %q is a name", m.HostName), "write the IP address")
	case !a.IsValid():
		return invalid("the description has no c= line", "write the address that receives the audio")
	case a.IsMulticast(), a == netip.AddrFrom4([4]byte{255, 255, 255, 255}), a.IsLinkLocalUnicast(), a.Is4() && a.As4()[0] == 0:
		return conflict("media cannot be sent to "+a.String(), "give a unicast address")
	case a.IsLoopback() && !local.IsLoopback():
		return conflict("media cannot be sent to "+a.String()+" from outside that machine", "give an address that we can reach")
	case a.Is4() != local.Is4():
		return conflict("media address "+a.String()+" is of another family than ours, "+local.String(), "offer the other family")
	}
	return nil
}
