package engine

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"testing"
)

// TestReadTakesInTheBody: that of an insert goes to a file as it is, any other's
// to memory; one that ends early, or is too long, is an error and leaves no file.
func TestReadTakesInTheBody(t *testing.T) {
	rows := bytes.Repeat([]byte("a\n\n'\\\x00"), 100_000)
	cases := map[string]struct {
		query string
		body  io.Reader
		fails bool
	}{
		"insert":              {"INSERT INTO cdr (a, b) FORMAT Native", bytes.NewReader(rows), false},
		"insert without rows": {"INSERT INTO cdr (a, b) FORMAT Native", bytes.NewReader(nil), false},
		"insert, cut off":     {"INSERT INTO cdr (a, b) FORMAT Native", io.MultiReader(bytes.NewReader(rows), brokenReader{}), true},
		"insert, too long":    {"INSERT INTO cdr (a, b) FORMAT Native", http.MaxBytesReader(nil, io.NopCloser(bytes.NewReader(rows)), 1000), true},
		"select":              {"SELECT", bytes.NewReader([]byte("1")), false},
		"select, cut off":     {"SELECT", brokenReader{}, true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			q, err := parse(url.Values{"query": {tc.query}, "async_insert": {"0"}})
			if err != nil {
				t.Fatal(err)
			}
			err = q.read(tc.body)
			defer q.close()
			if (err != nil) != tc.fails {
				t.Fatalf("error %v", err)
			}
			switch {
			case tc.fails && q.rows != nil:
				if _, err := q.rows.Stat(); !errors.Is(err, os.ErrClosed) {
					t.Errorf("the file is left open: %v", err)
				}
			case tc.fails:
			case q.insert == "":
				if string(q.text) != "1" {
					t.Errorf("text %q", q.text)
				}
			default:
				got := make([]byte, q.size)
				if _, err := q.rows.ReadAt(got, 0); err != nil && !errors.Is(err, io.EOF) {
					t.Fatal(err)
				}
				if name == "insert" && !bytes.Equal(got, rows) || name != "insert" && q.size != 0 {
					t.Errorf("%d bytes on file", q.size)
				}
			}
		})
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// BenchmarkReadBody is what an insert of 2,000 rows costs before the engine sees
// it: sent and received over loopback, and into the file.
func BenchmarkReadBody(b *testing.B) {
	body := make([]byte, 1_300_000)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q, err := parse(url.Values{"query": {"INSERT INTO cdr (a) FORMAT Native"}})
		if err == nil {
			err = q.read(http.MaxBytesReader(w, r.Body, maxBody))
		}
		if err != nil {
			b.Error(err)
		}
		q.close()
	}))
	defer srv.Close()
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		resp, err := srv.Client().Post(srv.URL, "application/octet-stream", bytes.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		resp.Body.Close()
	}
}
