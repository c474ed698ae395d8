package main

// The long help of each command: an example, and what to know before the first use.

// Help implements kong.HelpProvider.
func (ServeCmd) Help() string {
	return `  tandem check-config -c /etc/tandem/tandem.yaml
  tandem serve -c /etc/tandem/tandem.yaml

Trunks, decks, accounts, tenants and numbers come later, with tandem apply, while the node runs. On SIGTERM or Ctrl-C new calls get 503, the calls in progress are hung up and recorded, then it ends.`
}

// Help implements kong.HelpProvider.
func (DemoCmd) Help() string {
	return `  tandem demo            keeps running: portal, API and emulators to play with
  tandem demo --once     ends after the report

It needs no root and no network; emulated Microsoft proxies listen on 127.0.0.11 to 13, carriers on 127.0.0.21 and 22.`
}

// Help implements kong.HelpProvider.
func (EmulateTeamsCmd) Help() string {
	return `  tandem emulate teams --sbc 127.0.0.1:5061 --ca-dir ca
  curl -X PUT  127.0.0.1:5090/faults -d '{"fault":"blackhole"}'
  curl -X DELETE 127.0.0.1:5090/faults
  curl -X POST 127.0.0.1:5090/calls -d '{"from":"+14255550101","to":"+12125550123","hold":"3s"}'
  curl 127.0.0.1:5090/state

It makes a private CA at the first start: give tandem sbc.pem and sbc.key as its certificate and ca.pem as its roots.`
}

// Help implements kong.HelpProvider.
func (EmulateCarrierCmd) Help() string {
	return `  tandem emulate carrier --address 127.0.0.21:5060 --sbc 127.0.0.1:5060
  curl -X POST 127.0.0.1:5091/calls -d '{"from":"+12125550123","to":"+14255550101","hold":"3s"}'
  curl 127.0.0.1:5091/state

It answers every call after 200 ms of ringing; rules per number, transport and media are in the settings (--show).`
}

// Help implements kong.HelpProvider.
func (CheckConfigCmd) Help() string {
	return `  tandem check-config -c /etc/tandem/tandem.yaml

It opens no socket and no store, so it may run beside a node; tandem doctor looks further.`
}

// Help implements kong.HelpProvider.
func (ApplyCmd) Help() string {
	return `  tandem apply -f customers.yaml --dry-run    what would change: + new, ~ changed, - removed
  tandem apply -f customers.yaml

All of a file is applied, or nothing. Sections that the file does not have stay as they are. The form is described in docs/formats/apply.md.`
}

// Help implements kong.HelpProvider.
func (CallsCmd) Help() string {
	return `  tandem calls

States: dialing (an attempt is out), ringing, answering (200 sent, ACK awaited), talking, releasing. The timer is the next one that would act on the call.`
}

// Help implements kong.HelpProvider.
func (TrunksCmd) Help() string {
	return `  tandem trunks

States: up; demoted (one failure, or not enough successes since: tried last); down (not tried before others fail); misconfigured (it answers, but does not know us); unknown (not probed yet).`
}

// Help implements kong.HelpProvider.
func (CDRCmd) Help() string {
	return `  tandem cdr                                        connected legs: two rows per call
  tandem cdr --log --number 5550123                 every leg and attempt with these digits
  tandem cdr --from 2026-11-01 --to 2026-11-30 --csv > november.csv
  tandem cdr 3fa85f64-5717-4562-b3fc-2c963f66afa6   one call, why it was routed and priced so`
}

// Help implements kong.HelpProvider.
func (RouteExplainCmd) Help() string {
	return `  tandem route explain --trunk carrier-east --from +12125550123 --to +14255550101
  tandem route explain --trunk teams --host contoso.customers.test --from +14255550101 --to +442071838750

The answer holds for the directory and the trunk health of this moment; it is the same function that routes calls.`
}

// Help implements kong.HelpProvider.
func (RateExplainCmd) Help() string {
	return `  tandem rate explain --from +14255550101 --to +442071838750 --duration 95s
  tandem rate explain 3fa85f64-5717-4562-b3fc-2c963f66afa6
  tandem rate explain --json 3fa85f64-5717-4562-b3fc-2c963f66afa6

One of the numbers must be a DID of this node: it names the account, plan and deck. The question is answered with the free minutes that are left now.`
}

// Help implements kong.HelpProvider.
func (RateClassifyCmd) Help() string {
	return `  tandem rate classify +14255550100 411 011442071838750

It answers by the area codes that this program was built with, and needs no node. Which classes draw free minutes is the account's free_classes.`
}

// Help implements kong.HelpProvider.
func (RateCheckCmd) Help() string {
	return `  tandem rate check --from 2026-11-01 --to 2026-11-30

Each charge is recomputed from its row alone, in exact rationals, by code that shares nothing with the rater. Exit code 1 when a row differs.`
}

// Help implements kong.HelpProvider.
func (DeckImportCmd) Help() string {
	return `  tandem deck import us-out november.csv --dry-run
  tandem deck import us-out november.csv
  tandem deck import carrier-east-cost lrn.csv --template us-wholesale --zone America/New_York --currency USD
  tandem deck import intl rates.csv --map prefix=Code --map rate=Price --map destination=Name
  tandem deck activate us-out

The forms are described in docs/formats/deck.md. A deck that is imported should not stand in the file of tandem apply: apply would bring its own rows back.`
}

// Help implements kong.HelpProvider.
func (DeckPreviewCmd) Help() string {
	return `  tandem deck preview us-out
  tandem deck preview us-out --version 3

+ added, ~ changed, - removed, against the deck in force.`
}

// Help implements kong.HelpProvider.
func (DeckActivateCmd) Help() string {
	return `  tandem deck activate us-out
  tandem deck activate us-out --version 3

Calls that end afterwards are rated by it; rows keep the version that rated them.`
}

// Help implements kong.HelpProvider.
func (DeckRollbackCmd) Help() string {
	return `  tandem deck rollback us-out

Rows that were rated meanwhile keep their charges; they name the version.`
}

// Help implements kong.HelpProvider.
func (DeckExportCmd) Help() string {
	return `  tandem deck export us-out -o us-out.csv
  tandem deck export us-out --version 2

A deck that came with tandem apply is written in the plain form.`
}

// Help implements kong.HelpProvider.
func (DeckListCmd) Help() string {
	return `  tandem deck list
  tandem deck list us-out`
}

// Help implements kong.HelpProvider.
func (DoctorCmd) Help() string {
	return `  tandem doctor -c /etc/tandem/tandem.yaml

It changes nothing and may run beside a node or before the first start. Exit code 1 when a check says FAIL.`
}
