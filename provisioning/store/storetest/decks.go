package storetest

import (
	"bytes"
	"context"
	"reflect"
	"testing"
	"time"

	"tandem"
	"tandem/provisioning"
)

// staged stages rows of a deck as a sheet would come.
func staged(t *testing.T, s Store, id string, rate tandem.Rate, file string) provisioning.DeckVersion {
	t.Helper()
	rows := []tandem.DeckRow{{ID: 1, Prefix: "44", Destination: "UK", Rate: rate, InitialInc: 60, NextInc: 60}, {ID: 2, Prefix: "1", Rate: rate, InitialInc: 60, NextInc: 60}}
	v, err := s.StageDeck(context.Background(), provisioning.DeckVersion{Deck: id, Direction: tandem.Outbound, Currency: "USD", Name: "sheet.csv",
		Form: tandem.DeckForm{Template: "plain", Columns: map[string]string{"rate": "Price"}}, StoredAt: time.Date(2026, 11, 1, 2, 3, 4, 5000, time.UTC)}, rows, []byte(file))
	must(t, err)
	return v
}

// bring puts a version of a deck into force.
func bring(t *testing.T, s Store, id string, version int) {
	t.Helper()
	d, err := s.DeckOf(context.Background(), id, version)
	must(t, err)
	_, err = s.Update(context.Background(), func(current *tandem.Directory) (*tandem.Directory, error) {
		next := *current
		next.Decks = nil
		for _, old := range current.Decks {
			if old.ID != id {
				next.Decks = append(next.Decks, old)
			}
		}
		next.Decks = append(next.Decks, d)
		return &next, nil
	})
	must(t, err)
}

func states(t *testing.T, s Store, id string) map[int]provisioning.DeckState {
	t.Helper()
	list, err := s.DeckVersions(context.Background(), id)
	must(t, err)
	out := map[int]provisioning.DeckState{}
	for _, v := range list {
		out[v.Version] = v.State
	}
	return out
}

// testStageActivateRollBack follows versions of a deck through their states.
func testStageActivateRollBack(t *testing.T, s Store) {
	ctx := context.Background()
	const file = "\xef\xbb\xbfprefix,Price\r\n44,1\r\n\r\n"
	one, two := staged(t, s, "out", 1, file), staged(t, s, "out", 2, "two")
	if one.Version != 1 || two.Version != 2 || one.State != provisioning.DeckStaged || one.Rows != 2 {
		t.Errorf("%+v, %+v", one, two)
	}
	if d, _ := s.Directory(ctx); len(d.Decks) != 0 {
		t.Error("a staged deck is in force")
	}
	if got, err := s.DeckFile(ctx, "out", 1); err != nil || !bytes.Equal(got, []byte(file)) {
		t.Errorf("the sheet came back as %q, %v", got, err)
	}
	list, err := s.DeckVersions(ctx, "out")
	if err != nil || len(list) != 2 || !reflect.DeepEqual(list[1], one) || !list[0].ActiveAt.IsZero() {
		t.Errorf("%+v, %v\nwant %+v", list, err, one)
	}
	bring(t, s, "out", 1)
	bring(t, s, "out", 2)
	if got, want := states(t, s, "out"), (map[int]provisioning.DeckState{1: provisioning.DeckFormer, 2: provisioning.DeckInForce}); !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	d, _ := s.Directory(ctx)
	if d.Decks[0].Version != 2 || d.Decks[0].Rows[0].Rate != 2 || d.Decks[0].Rows[0].ID != 1 {
		t.Errorf("%+v is in force", d.Decks[0])
	}
	before := func(version, want int) {
		t.Helper()
		if got, err := s.DeckBefore(ctx, "out", version); err != nil || got != want {
			t.Errorf("before version %d was %d, %v, want %d", version, got, err, want)
		}
	}
	before(2, 1)
	before(1, 0)
	three := staged(t, s, "out", 3, "three")
	bring(t, s, "out", three.Version)
	before(3, 2)
	bring(t, s, "out", 2) // back
	before(2, 1)          // and a second step goes further back
	bring(t, s, "out", 3) // deliberately forth again
	before(3, 2)
}

// testVersionsNeverCollide: a deck that is applied while another version is
// staged gets a version of its own, whatever number it asks for.
func testVersionsNeverCollide(t *testing.T, s Store) {
	ctx := context.Background()
	must(t, update(s, Sample()))
	v := staged(t, s, "out", 9, "sheet")
	if v.Version != Sample().Decks[1].Version+1 {
		t.Errorf("staged as version %d", v.Version)
	}
	changed := Sample()
	changed.Decks[1].Version++ // as apply counts
	changed.Decks[1].Rows[1].Rate = 77
	must(t, update(s, changed))
	d, _ := s.Directory(ctx)
	if d.Decks[1].Version != v.Version+1 {
		t.Errorf("applied as version %d, while %d is staged", d.Decks[1].Version, v.Version)
	}
	sheet, err := s.DeckOf(ctx, "out", v.Version)
	if err != nil || len(sheet.Rows) != 2 || sheet.Rows[0].Rate != 9 {
		t.Errorf("the staged version holds %+v, %v", sheet, err)
	}
	if file, err := s.DeckFile(ctx, "out", d.Decks[1].Version); err != nil || file != nil {
		t.Errorf("an applied deck came as no sheet, but %q, %v", file, err)
	}
	if _, err := s.DeckOf(ctx, "out", 99); tandem.KindOf(err) != tandem.KindNotFound {
		t.Errorf("version 99: %v", err)
	}
	if list, err := s.DeckVersions(ctx, ""); err != nil || len(list) != 4 {
		t.Errorf("%d versions of all decks, %v", len(list), err)
	}
}
