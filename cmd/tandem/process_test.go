package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"tandem/cmd/tandem/emulate"
	"tandem/provisioning"
	"tandem/provisioning/api/client"
)

// process is a tandem in a process of its own, which can be killed.
type process struct {
	cmd *exec.Cmd
	log *testLog
}

// waitUp waits until the node answers.
func waitUp(t *testing.T, api *client.Client, p *process) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		var trunks items[provisioning.TrunkState]
		err := api.Get(t.Context(), "/api/v1/trunks", nil, &trunks)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("node does not come up: %v\n%s", err, p.log)
		}
		<-time.After(20 * time.Millisecond)
	}
}

func mustLoad(t *testing.T, path string) Config {
	t.Helper()
	c, err := LoadConfig(path)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// writeNodeConfig writes a tandem.yaml for a node that trusts the emulator.
func writeNodeConfig(t *testing.T, teams *emulate.Teams, net, data, library string) string {
	t.Helper()
	files := teams.Files()
	text := fmt.Sprintf(`node: test
data: %s
sip:
  listen:
    - {transport: udp, address: "%[2]s.1:5060"}
    - {transport: tcp, address: "%[2]s.1:5060"}
    - {transport: tls, address: "%[2]s.1:5061"}
  certificates:
    - {name: default, cert: %[3]s, key: %[4]s}
  roots: [%[5]s]
media:
  address: %[2]s.1
clickhouse:
  library: %[6]s
http:
  address: "%[2]s.1:8080"
`, data, net, files["certificate"], files["key"], files["ca"], library)
	path := filepath.Join(t.TempDir(), "tandem.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// plainCount counts stored rows without FINAL, past our own reports: doubled rows would show.
func plainCount(t *testing.T, n *Node) int {
	t.Helper()
	conn, err := clickhouse.Open(&clickhouse.Options{Protocol: clickhouse.HTTP, Addr: []string{"embedded-engine:8123"},
		TransportFunc: func(*http.Transport) (http.RoundTripper, error) { return n.chdb.RoundTripper(), nil }})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var count uint64
	if err := conn.QueryRow(t.Context(), "SELECT count() FROM cdr").Scan(&count); err != nil {
		t.Fatal(err)
	}
	return int(count)
}
