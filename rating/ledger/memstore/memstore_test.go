package memstore

import (
	"testing"

	"tandem"
	"tandem/rating/ledger/ledgertest"
)

func TestStore(t *testing.T) {
	ledgertest.Run(t, func(*testing.T) tandem.LedgerStore { return New() })
}
