package clickhouse

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"tandem"
	"tandem/cdr/engine"
)

// benchRows are the two rows of each of n connected calls, with trace and
// explanation as long as they are in the product.
func benchRows(n, at int) []tandem.CDR {
	var rows []tandem.CDR
	for i := range n {
		c := uuid.NewSHA1(uuid.NameSpaceOID, fmt.Append(nil, at+i))
		start := noon.Add(time.Duration(at+i) * time.Millisecond)
		binary.BigEndian.PutUint64(c[:8], uint64(start.UnixMilli())<<16|7<<12|uint64(c[7])) // as the core mints them
		answer := start.Add(20 * time.Millisecond)
		row := tandem.CDR{Version: 1, Correlation: c, Node: "bench", NodeSeq: tandem.JournalPos(3 * (at + i)), Last: true, Connected: true, Direction: tandem.Inbound, Account: "contoso",
			Tenant: uuid.NameSpaceOID, DID: "+14255550101", UserType: tandem.StandardUser, Plan: tandem.Metered, From: fmt.Sprintf("+1212555%04d", i%10000), To: "+14255550101",
			InviteTime: start, AnswerTime: &answer, EndTime: start.Add(time.Second), DurationMs: 980, SIPCode: 200, Q850: 16, ReleasedBy: "caller", Disposition: tandem.Answered, Codec: "PCMA",
			RouteTrace: `[{"rule":"inbound","detail":"+14255550101 of contoso"},{"rule":"teams","detail":"sip.pstnhub.test:5061 is up"},{"rule":"failsafe","detail":"+12065550199 by carrier-east"}]`,
			Charge:     tandem.Charge{Currency: "USD", Explanation: `{"form":1,"rule":"operator_connect","duration_ms":980,"billed_s":0,"free_s":0,"charged_s":0,"fee":"0.000000","rounding":"half_even","amount":"0.000000"}`}}
		a, b := row, row
		a.ID, a.Technology, a.Network, a.Trunk, a.Endpoint, a.SIPCallID = tandem.LegID(c, 0), tandem.Phone, "Carrier East", "carrier-east", "127.0.0.21:5060", fmt.Sprintf("%d-4711@127.0.0.21", at+i)
		a.Charge = tandem.Charge{Amount: 450, Currency: "USD", Rate: 45_000_000, BilledS: 6, ChargedS: 6, Class: tandem.ClassUS, DeckID: "retail-in", DeckVer: 1, DeckRow: 1,
			Explanation: `{"form":1,"rule":"metered","leg":"inbound","number":"+14255550101","class":"us","answer_time":"2026-11-24T12:00:00.123Z","duration_ms":980,"deck":{"id":"retail-in","version":1,"currency":"USD","row":1,"prefix":"1","destination":"US voice DID","rate":"0.0045","connect_fee":"0.000000","initial_inc":6,"next_inc":6},"billed_s":6,"free_s":0,"charged_s":6,"fee":"0.000000","rounding":"half_even","amount":"0.000450"}`}
		b.ID, b.Technology, b.Network, b.Trunk, b.Endpoint, b.SIPCallID, b.Attempt = tandem.LegID(c, 1), tandem.OperatorConnect, "Operator Connect", "teams", "sip.pstnhub.test:5061", fmt.Sprintf("s0-%x", c[:8]), 1
		rows = append(rows, a, b)
	}
	return rows
}

// BenchmarkInsert tells what a row costs by size of the batch: in this process
// (client), and in the engine's (engine), merges of the next seconds included.
//
//	go test ./cdr/clickhouse -run '^$' -bench Insert -benchtime 20x
func BenchmarkInsert(b *testing.B) {
	for _, size := range []int{400, 2000, 5000} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			s := startEngine(b)
			c, err := Open(Config{Transport: s.RoundTripper()}, Deps{})
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			if err := c.Insert(b.Context(), "first", benchRows(200, 0)); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			n, engine, client := 0, engineCPU(b, s), time.Duration(0)
			for b.Loop() {
				n++
				rows := benchRows(size/2, n*size)
				before := processCPU(b)
				if err := c.Insert(b.Context(), fmt.Sprint("bench:", n), rows); err != nil {
					b.Fatal(err)
				}
				client += processCPU(b) - before
			}
			time.Sleep(5 * time.Second) // merges
			per := float64(1000 * n * size)
			b.ReportMetric(float64(engineCPU(b, s)-engine)/per, "engine-us/row")
			b.ReportMetric(float64(client)/per, "client-us/row")
		})
	}
}

// BenchmarkIdleEngine tells what the engine costs while nobody asks it anything.
func BenchmarkIdleEngine(b *testing.B) {
	s := startEngine(b)
	c, err := Open(Config{Transport: s.RoundTripper()}, Deps{})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	if err := c.Insert(b.Context(), "first", benchRows(2000, 0)); err != nil {
		b.Fatal(err)
	}
	before, began := engineCPU(b, s), time.Now()
	for b.Loop() {
		time.Sleep(10 * time.Second)
	}
	b.ReportMetric(float64((engineCPU(b, s)-before).Microseconds())/time.Since(began).Seconds(), "engine-us/s")
}

func processCPU(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// engineCPU is user and system time of the child, in steps of 10 ms.
func engineCPU(b *testing.B, s *engine.Supervisor) time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.State().PID))
	if err != nil {
		b.Fatal(err)
	}
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')'):])
	user, _ := strconv.Atoi(string(fields[12]))
	system, _ := strconv.Atoi(string(fields[13]))
	return time.Duration(user+system) * 10 * time.Millisecond
}
