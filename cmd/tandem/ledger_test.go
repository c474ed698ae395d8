package main

import (
	"path/filepath"
	"testing"

	"tandem"
	"tandem/provisioning/store"
	"tandem/rating/ledger/ledgertest"
)

// TestLedgerOnSQLite runs the ledger's suite on the store that a node uses;
// neither package may know the other.
func TestLedgerOnSQLite(t *testing.T) {
	ledgertest.Run(t, func(t *testing.T) tandem.LedgerStore {
		s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), storeFile))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	})
}
