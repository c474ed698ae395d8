package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"tandem"
	"tandem/cmd/tandem/emulate"
	"tandem/provisioning"
	"tandem/rating/deck"
)

// demoCustomers is what the demo provisions; deploy/example points to it too.
//
//go:embed demo/customers.yaml
var demoCustomers []byte

// Addresses and customers of the stage; they agree with demo/customers.yaml.
const (
	demoTenant    = "7d3c1a52-0b8e-4d1f-9a56-3f0c2b6e8d11"
	demoTrunkFQDN = "sbc.customers.test"
)

// stage is a small world on the loopback: Microsoft, two carriers and a node
// between them, provisioned. The demo plays on it, and so do tests.
type stage struct {
	teams      *emulate.Teams
	east, west *emulate.Carrier
	node       *Node
}

// stageOptions are what demo and tests differ in.
type stageOptions struct {
	data       string
	net        string                       // first three bytes of every address: "127.0.0" for the demo
	config     func(*Config)                // changes the node's configuration
	teams      func(*emulate.TeamsConfig)   // changes the Microsoft emulator's
	carriers   func(*emulate.CarrierConfig) // changes both carriers'
	noCarriers bool                         // the test brings its own (SIPp)
	document   func(text []byte) []byte     // changes demo/customers.yaml
	log        *slog.Logger
	say        func(format string, args ...any)
}

// at is an address of the stage from its last byte and port, as in "21:5060".
func (o stageOptions) at(end string) netip.AddrPort {
	return netip.MustParseAddrPort(o.net + "." + end)
}

// startStage starts all parts in their order: Microsoft first, because it makes
// the certificates that the node presents.
func startStage(ctx context.Context, o stageOptions) (_ *stage, err error) {
	s := &stage{}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if err := s.startTeams(o); err != nil {
		return nil, err
	}
	if !o.noCarriers {
		if s.east, err = startCarrier(o, "carrier-east", "21:5060", tandem.UDP, "1:5091"); err != nil {
			return nil, err
		}
		if s.west, err = startCarrier(o, "carrier-west", "22:5060", tandem.TCP, "1:5092"); err != nil {
			return nil, err
		}
	}
	if err := s.startNode(ctx, o); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *stage) startTeams(o stageOptions) error {
	settings := emulate.DefaultTeamsConfig()
	settings.Mode = emulate.DirectRouting
	settings.TrunkFQDN = demoTrunkFQDN
	settings.CADir = filepath.Join(o.data, "emulator-ca")
	for i := range settings.Listeners {
		settings.Listeners[i].Address = o.at(fmt.Sprintf("%d:5061", 11+i))
	}
	settings.SBC, settings.Control = o.at("1:5061"), o.at("1:5090")
	settings.Tenants = []emulate.TeamsTenant{{ID: uuid.MustParse(demoTenant), FQDN: "contoso.customers.test", Users: []emulate.Rule{
		{Number: "+14255550103", Behaviour: emulate.Behaviour{Status: 486, Ring: tandem.Duration(200 * time.Millisecond)}},
		{Number: "+14255550104", Behaviour: emulate.Behaviour{NoAnswer: true}},
		{Number: "+1425555*"},
	}}}
	if o.teams != nil {
		o.teams(&settings)
	}
	teams, err := emulate.NewTeams(settings, o.log)
	if err != nil {
		return err
	}
	if err := teams.Start(); err != nil {
		return taken(err)
	}
	s.teams = teams
	o.say("Microsoft emulated: sip, sip2 and sip3.pstnhub.test on %s.11 to 13, TLS and SRTP; control http://%s", o.net, teams.ControlAddr())
	return nil
}

// taken says what to do when an address of the stage is in use.
func taken(err error) error {
	if !errors.Is(err, unix.EADDRINUSE) {
		return err
	}
	return &tandem.Error{Kind: tandem.KindConflict, Message: "an address of the demo is in use", Mend: "stop the other demo or emulator first (ss -lntp shows who listens)", Err: err}
}

func startCarrier(o stageOptions, name, address string, via tandem.Transport, control string) (*emulate.Carrier, error) {
	settings := emulate.DefaultCarrierConfig()
	settings.Name, settings.Address, settings.Transport = name, o.at(address), via
	settings.Control, settings.SBC = o.at(control), o.at("1:5060")
	if o.carriers != nil {
		o.carriers(&settings)
	}
	carrier, err := emulate.NewCarrier(settings, o.log)
	if err != nil {
		return nil, err
	}
	if err := carrier.Start(); err != nil {
		return nil, taken(err)
	}
	o.say("%s emulated on %s, %s and RTP; control http://%s", name, carrier.Addr(), via, carrier.ControlAddr())
	return carrier, nil
}

func (s *stage) startNode(ctx context.Context, o stageOptions) error {
	files := s.teams.Files()
	config := DefaultConfig()
	config.Node = "demo"
	config.Data = o.data
	config.SIP.Listen = []ListenConfig{
		{Transport: "udp", Address: o.net + ".1:5060"}, {Transport: "tcp", Address: o.net + ".1:5060"}, {Transport: "tls", Address: o.net + ".1:5061"}}
	config.Media.Address = o.net + ".1"
	config.SIP.Certificates = []CertificateConfig{{Name: "default", Cert: files["certificate"], Key: files["key"]}}
	config.SIP.Roots = []string{files["ca"]}
	if o.config != nil {
		o.config(&config)
	}
	if err := config.Validate(); err != nil {
		return err
	}
	node, err := StartNode(ctx, config, o.log)
	if err != nil {
		return err
	}
	s.node = node
	o.say("node %s: SIP on %s.1, 5060 (UDP, TCP) and 5061 (TLS); data in %s", config.Node, o.net, config.Data)

	document := bytes.ReplaceAll(demoCustomers, []byte("127.0.0."), []byte(o.net+"."))
	if o.document != nil {
		document = o.document(document)
	}
	change, err := node.service.Apply(ctx, "customers.yaml", document, provisioning.Source{ParseDeckCSV: deck.ParseCSV}, false)
	if err != nil {
		return fmt.Errorf("apply customers.yaml: %w", err)
	}
	o.say("applied customers.yaml: %d changes", len(change.Lines))
	return nil
}

// waitHealthy waits until every trunk address has answered an OPTIONS.
func (s *stage) waitHealthy(ctx context.Context) error {
	for {
		waiting := ""
		for id, endpoints := range s.node.monitor.Health() {
			for _, e := range endpoints {
				if e.State != tandem.HealthUp {
					waiting = fmt.Sprintf("%s %s is %s (%s)", id, e.Endpoint.Host, e.State, e.Reason)
				}
			}
		}
		if waiting == "" && len(s.node.monitor.Health()) > 0 {
			return nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("trunks are not up: %s", waiting)
		}
	}
}

// waitIdle waits until every call is over and on record: the caller of a
// cancelled call is done before Microsoft has confirmed it.
func (s *stage) waitIdle(ctx context.Context) error {
	for len(s.node.engine.Live()) > 0 {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%d calls do not end", len(s.node.engine.Live()))
		}
	}
	return nil
}

// Close ends all parts, the node first so that it can hang up.
func (s *stage) Close() {
	if s.node != nil {
		s.node.Close()
	}
	for _, c := range []*emulate.Carrier{s.east, s.west} {
		if c != nil {
			c.Close()
		}
	}
	if s.teams != nil {
		s.teams.Close()
	}
}
