package tandem

import (
	"crypto/rand"
	"encoding/binary"
	"math"
	"strconv"
	"testing"

	"github.com/google/uuid"
)

// TestLegID compares with the library: IDs on record must not change. Of a call
// that begins with its instant only the first half is as it would have been.
func TestLegID(t *testing.T) {
	for _, attempt := range []int{0, 1, 9, 10, 255, math.MaxInt, math.MinInt} {
		for range 300 {
			var call CorrelationID
			rand.Read(call[:])
			want := uuid.NewSHA1(legSpace, strconv.AppendInt(call[:len(call):len(call)], int64(attempt), 10))
			if call.Version() == 7 {
				want[6] = want[6]&0x0f | 0x80
				copy(want[8:], call[:8])
				want[8] = want[8]&0x3f | 0x80
				want[14] = want[14]&0x0f | 0xf0
			}
			if got := LegID(call, attempt); got != want || got.Variant() != uuid.RFC4122 || (LegKey(got) != got) != (call.Version() == 7) {
				t.Fatalf("leg %d of %s: %s, want %s", attempt, call, got, want)
			}
		}
	}
	for call, want := range map[string]string{ // as they are on record
		"11111111-2222-4333-8444-555555555555": "ea4c8e1c-a4ac-5120-a29e-2f04e08badb0",
		"019ac4e7-1b00-7abc-8444-555555555555": "a7cf931c-52f9-8e36-819a-c4e71b00fabc",
	} {
		if got := LegID(uuid.MustParse(call), 1).String(); got != want {
			t.Errorf("leg 1 of %s: %s, want %s", call, got, want)
		}
	}
	if n := testing.AllocsPerRun(100, func() { LegKey(LegID(CorrelationID{6: 0x70}, 1)) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestLegKey: the key of the key is the ID, whatever ID it is, and those of legs
// are in the order of time.
func TestLegKey(t *testing.T) {
	for n := range 10_000 {
		var id uuid.UUID
		rand.Read(id[:])
		id[6], id[14] = byte(n)|0x80, byte(n>>4)|0x80 // all pairs of what tells one
		if got := LegKey(LegKey(id)); got != id {
			t.Fatalf("%s became %s", id, got)
		}
	}
	var last uuid.UUID
	for ms := range 1000 {
		var call CorrelationID
		rand.Read(call[:])
		binary.BigEndian.PutUint64(call[:], uint64(1_795_000_000_000+ms)<<16|7<<12|uint64(call[7]))
		for attempt := range 3 {
			key := LegKey(LegID(call, attempt))
			if LegKey(key) != LegID(call, attempt) || attempt == 0 && string(key[:8]) <= string(last[:8]) || attempt > 0 && string(key[:8]) != string(last[:8]) {
				t.Fatalf("leg %d of %s: key %s after %s", attempt, call, key, last)
			}
			last = key
		}
	}
}
