// Command tandem is the whole product in one binary: the engine, its API and
// portal, the embedded ClickHouse child, the emulators, and the tools around
// them. `tandem --help` lists the commands.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	_ "time/tzdata" // accounts bill in IANA zones, also on machines without zone files

	"github.com/alecthomas/kong"

	"tandem"
)

// version is set by the linker (see Makefile).
var version = "dev"

// CLI is the command line. Help texts teach: each says what the command is for
// and gives an example.
type CLI struct {
	Serve       ServeCmd       `cmd:"" help:"Run a node: SIP, media, records, API and portal, until interrupted."`
	Demo        DemoCmd        `cmd:"" help:"Start a node with both emulators on the loopback, place example calls and print the report."`
	Engine      EngineCmd      `cmd:"" hidden:"" help:"Run the embedded ClickHouse engine (started by serve)."`
	Emulate     EmulateCmd     `cmd:"" help:"Run an emulator: Microsoft's trunk or a carrier."`
	CheckConfig CheckConfigCmd `cmd:"" help:"Read tandem.yaml as serve does and report every mistake with line, column and mend."`
	Apply       ApplyCmd       `cmd:"" help:"Bring trunks, decks, accounts, tenants, addresses and numbers to what a YAML file says."`
	Deck        DeckCmd        `cmd:"" help:"Import, preview, activate, roll back, export and list rate decks."`
	Calls       CallsCmd       `cmd:"" help:"List the calls in progress: state, age, timer left."`
	Trunks      TrunksCmd      `cmd:"" help:"List the health of every trunk address and why."`
	CDR         CDRCmd         `cmd:"" name:"cdr" help:"Read call detail records: the detailed report, the log, or one call."`
	Route       RouteCmd       `cmd:"" help:"Ask routing where a call would go, and why."`
	Ledger      LedgerCmd      `cmd:"" help:"Statements of accounts; top-ups, refunds and corrections."`
	Usage       UsageCmd       `cmd:"" help:"Minutes used, left and forecast by number; what an account spent by day; what ran low."`
	Rate        RateCmd        `cmd:"" help:"Ask rating what a call would cost, and why."`
	Doctor      DoctorCmd      `cmd:"" help:"Examine ports, clock, DNS, certificates, store and engine: OK, WARN or FAIL with the next step."`
	Version     VersionCmd     `cmd:"" help:"Print the version."`
}

// environment is what commands get from their caller, so that tests can run
// them in-process.
type environment struct {
	ctx    context.Context
	stdout io.Writer
	stderr io.Writer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	env := &environment{ctx: ctx, stdout: os.Stdout, stderr: os.Stderr}
	os.Exit(run(env, os.Args[1:]))
}

// run parses and runs one command and returns the exit code: 0 done, 1 refused
// or failed, 2 not understood.
func run(env *environment, args []string) int {
	var cli CLI
	exit := -1
	parser, err := kong.New(&cli,
		kong.Name("tandem"),
		kong.Description("Joins Microsoft Teams to PSTN carriers, call by call, and accounts for every one of them."),
		kong.Writers(env.stdout, env.stderr),
		kong.Exit(func(code int) { exit = code }),
		kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	)
	if err != nil {
		fmt.Fprintln(env.stderr, "tandem:", err)
		return 2
	}
	command, err := parser.Parse(args)
	if exit >= 0 { // --help was printed
		return exit
	}
	if err != nil {
		fmt.Fprintln(env.stderr, "tandem:", err)
		fmt.Fprintln(env.stderr, "Run tandem --help, or tandem COMMAND --help.")
		return 2
	}
	if err := command.Run(env); err != nil {
		if !errors.Is(err, errReported) {
			fmt.Fprintln(env.stderr, "tandem:", err)
		}
		return 1
	}
	return 0
}

// errReported makes a command fail after it has printed why.
var errReported = errors.New("reported")

// VersionCmd is `tandem version`.
type VersionCmd struct{}

// Run prints version, Go version and platform.
func (VersionCmd) Run(env *environment) error {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return &tandem.Error{Kind: tandem.KindInternal, Message: "the binary carries no build information"}
	}
	fmt.Fprintf(env.stdout, "tandem %s (%s)\n", version, info.GoVersion)
	return nil
}

// ConfigFlag is the flag that commands share which read tandem.yaml.
type ConfigFlag struct {
	Config string `short:"c" type:"path" help:"Path of tandem.yaml. Without it a node on the loopback is assumed." env:"TANDEM_CONFIG"`
}

func (f ConfigFlag) load() (Config, error) {
	if f.Config == "" {
		c := DefaultConfig()
		return c, c.Validate()
	}
	return LoadConfig(f.Config)
}

// CheckConfigCmd is `tandem check-config`.
type CheckConfigCmd struct {
	ConfigFlag
}

// Run loads the configuration and says what it found.
func (c CheckConfigCmd) Run(env *environment) error {
	config, err := c.load()
	if err != nil {
		return err
	}
	fmt.Fprintf(env.stdout, "OK: node %s, %d listening sockets, data in %s, ClickHouse %s, HTTP on %s\n",
		config.Node, len(config.SIP.Listen), config.Data, config.ClickHouse.Mode, config.HTTP.Address)
	return nil
}
