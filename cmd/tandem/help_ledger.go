package main

// Help implements kong.HelpProvider.
func (LedgerStatementCmd) Help() string {
	return `  tandem ledger statement contoso
  tandem ledger statement contoso --from 2026-11-01 --to 2026-11-30

Postings stand at the instant when they count, a charge at the call's answer. They are never edited; the balance is their sum. A negative balance is owed, a positive one is left to spend.`
}

// Help implements kong.HelpProvider.
func (LedgerTopUpCmd) Help() string {
	return `  tandem ledger topup contoso 50.00 --note "wire 7"
  tandem ledger topup contoso 50.00 --id 3fa85f64-5717-4562-b3fc-2c963f66afa6

With --id the command may be repeated after a lost answer: the money is added once.`
}

// Help implements kong.HelpProvider.
func (LedgerRefundCmd) Help() string {
	return `  tandem ledger refund contoso 0.25 --did +14255550101 --note "cut off twice"`
}

// Help implements kong.HelpProvider.
func (LedgerCorrectCmd) Help() string {
	return `  tandem ledger correct contoso 1.50 --note "fee taken twice"

A negative amount stands last, behind two hyphens.`
}

// Help implements kong.HelpProvider.
func (UsageCmd) Help() string {
	return `  tandem usage
  tandem usage --account contoso
  tandem usage --did +14255550101 --at 2026-10-15

Minutes are those drawn from the free minutes of the Unlimited plan, as they were billed. The forecast goes on as the cycle did so far. Days and cycles are those of the account's time zone.`
}
