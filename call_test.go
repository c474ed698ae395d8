package tandem

import (
	"crypto/rand"
	"math"
	"strconv"
	"testing"

	"github.com/google/uuid"
)

// TestLegIDIsVersion5 compares with the library: IDs on record must not change.
func TestLegIDIsVersion5(t *testing.T) {
	for _, attempt := range []int{0, 1, 9, 10, 255, math.MaxInt, math.MinInt} {
		var call CorrelationID
		for range 100 {
			want := uuid.NewSHA1(legSpace, strconv.AppendInt(call[:len(call):len(call)], int64(attempt), 10))
			if got := LegID(call, attempt); got != want || got.Version() != 5 || got.Variant() != uuid.RFC4122 {
				t.Fatalf("leg %d of %s: %s, want %s", attempt, call, got, want)
			}
			rand.Read(call[:])
		}
	}
	if n := testing.AllocsPerRun(100, func() { LegID(CorrelationID{1}, 1) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
