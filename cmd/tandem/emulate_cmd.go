package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"

	"tandem"
	"tandem/cmd/tandem/emulate"
)

// EmulateCmd groups the emulators.
type EmulateCmd struct {
	Teams   EmulateTeamsCmd   `cmd:"" help:"Microsoft's SIP proxies on three loopback addresses: mutual TLS, SRTP, OPTIONS and header rules, faults on command."`
	Carrier EmulateCarrierCmd `cmd:"" help:"A PSTN carrier over UDP and TCP with RTP, and faults on command."`
}

// EmulateTeamsCmd is `tandem emulate teams`.
type EmulateTeamsCmd struct {
	Settings string `short:"f" type:"existingfile" help:"JSON file with settings over the defaults; print the defaults with --show."`
	SBC      string `help:"ip:port where the operator (tandem) listens for TLS." placeholder:"127.0.0.1:5061"`
	CADir    string `name:"ca-dir" help:"Folder for the private CA and the certificates made, also tandem's own (sbc.pem, sbc.key, ca.pem)."`
	Control  string `help:"ip:port of the HTTP control: GET /state, POST /calls, PUT /faults." placeholder:"127.0.0.1:5090"`
	Show     bool   `help:"Print the settings as JSON and stop."`
}

// Run emulates until interrupted.
func (c EmulateTeamsCmd) Run(env *environment) error {
	settings := emulate.DefaultTeamsConfig()
	if err := readSettings(c.Settings, &settings); err != nil {
		return err
	}
	if err := setAddress("--sbc", c.SBC, &settings.SBC); err != nil {
		return err
	}
	if err := setAddress("--control", c.Control, &settings.Control); err != nil {
		return err
	}
	if c.CADir != "" {
		settings.CADir = c.CADir
	}
	if c.Show {
		return showSettings(env, settings)
	}
	teams, err := emulate.NewTeams(settings, newLogger(env.stderr, LogConfig{Level: "info"}))
	if err != nil {
		return err
	}
	if err := teams.Start(); err != nil {
		return err
	}
	defer teams.Close()
	fmt.Fprintf(env.stdout, "Microsoft emulated; certificates in %s; control at http://%s\n", settings.CADir, teams.ControlAddr())
	<-env.ctx.Done()
	return nil
}

// EmulateCarrierCmd is `tandem emulate carrier`.
type EmulateCarrierCmd struct {
	Settings string `short:"f" type:"existingfile" help:"JSON file with settings over the defaults; print the defaults with --show."`
	Address  string `help:"ip:port to listen on, UDP and TCP." placeholder:"127.0.0.21:5060"`
	SBC      string `help:"ip:port where the operator (tandem) listens." placeholder:"127.0.0.1:5060"`
	Control  string `help:"ip:port of the HTTP control." placeholder:"127.0.0.1:5091"`
	Show     bool   `help:"Print the settings as JSON and stop."`
}

// Run emulates until interrupted.
func (c EmulateCarrierCmd) Run(env *environment) error {
	settings := emulate.DefaultCarrierConfig()
	if err := readSettings(c.Settings, &settings); err != nil {
		return err
	}
	for flag, pair := range map[string]struct {
		value string
		to    *netip.AddrPort
	}{"--address": {c.Address, &settings.Address}, "--sbc": {c.SBC, &settings.SBC}, "--control": {c.Control, &settings.Control}} {
		if err := setAddress(flag, pair.value, pair.to); err != nil {
			return err
		}
	}
	if c.Show {
		return showSettings(env, settings)
	}
	carrier, err := emulate.NewCarrier(settings, newLogger(env.stderr, LogConfig{Level: "info"}))
	if err != nil {
		return err
	}
	if err := carrier.Start(); err != nil {
		return err
	}
	defer carrier.Close()
	fmt.Fprintf(env.stdout, "carrier emulated on %s; control at http://%s\n", settings.Address, carrier.ControlAddr())
	<-env.ctx.Done()
	return nil
}

func readSettings(file string, into any) error {
	if file == "" {
		return nil
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	d := json.NewDecoder(f)
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return &tandem.Error{Kind: tandem.KindInvalid, Message: "settings file " + file + " can't be used", Mend: "compare it with what --show prints", Err: err}
	}
	return nil
}

func setAddress(flag, value string, to *netip.AddrPort) error {
	if value == "" {
		return nil
	}
	a, err := netip.ParseAddrPort(value)
	if err != nil {
		return &tandem.Error{Kind: tandem.KindInvalid, Field: flag, Message: fmt.Sprintf("%q is not ip:port", tandem.Clip(value, 40)), Mend: "write it as in 127.0.0.1:5090"}
	}
	*to = a
	return nil
}

func showSettings(env *environment, settings any) error {
	e := json.NewEncoder(env.stdout)
	e.SetIndent("", "  ")
	return e.Encode(settings)
}
