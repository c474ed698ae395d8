package tandem

import (
	"crypto/rand"
	"math"
	"strconv"
	"testing"

	"github.com/google/uuid"
)

// TestLegID compares with the library: IDs on record must not change. Those of a
// call that begins with its instant differ from the same in that they do, too.
func TestLegID(t *testing.T) {
	for _, attempt := range []int{0, 1, 9, 10, 255, math.MaxInt, math.MinInt} {
		for range 300 {
			var call CorrelationID
			rand.Read(call[:])
			want := uuid.NewSHA1(legSpace, strconv.AppendInt(call[:len(call):len(call)], int64(attempt), 10))
			if call.Version() == 7 {
				copy(want[:6], call[:6])
				want[6] = want[6]&0x0f | 0x80
			}
			if got := LegID(call, attempt); got != want || got.Variant() != uuid.RFC4122 {
				t.Fatalf("leg %d of %s: %s, want %s", attempt, call, got, want)
			}
		}
	}
	for call, want := range map[string]string{ // as they are on record
		"11111111-2222-4333-8444-555555555555": "ea4c8e1c-a4ac-5120-a29e-2f04e08badb0",
		"019ac4e7-1b00-7abc-8444-555555555555": "019ac4e7-1b00-8e36-84d6-fd7b7108f3d7",
	} {
		if got := LegID(uuid.MustParse(call), 1).String(); got != want {
			t.Errorf("leg 1 of %s: %s, want %s", call, got, want)
		}
	}
	if n := testing.AllocsPerRun(100, func() { LegID(CorrelationID{1}, 1) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
