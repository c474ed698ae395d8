package clickhouse

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"tandem"
)

// Config tells where ClickHouse is.
type Config struct {
	// Addrs are host:port of servers, native protocol. Unused with Transport.
	Addrs                        []string
	Database, Username, Password string
	TLS                          *tls.Config
	// Transport, when set, is the embedded engine's: HTTP through it.
	Transport http.RoundTripper
	// Cluster is the name of a cluster in the servers' configuration: tables are
	// then replicated per shard, with a Distributed table for reports. Empty = one server.
	Cluster string
	// RetentionMonths after which whole parts are dropped; 0 = 25.
	RetentionMonths int
}

// Deps of a Client.
type Deps struct{ Logger *slog.Logger }

// Client stores and reports. It connects when first used, and again after
// every loss; it applies the migrations before the first insert or report.
type Client struct {
	cfg  Config
	log  *slog.Logger
	conn driver.Conn

	mu       sync.Mutex
	migrated bool
	version  string
	// textIndex: the server has text indices, see migrations/0002.
	textIndex bool
	encoder   *encoder // nil while an insert uses it
}

// embedded stands for the address that the embedded engine's transport knows.
const embedded = "embedded-engine:8123"

// Version is what the server calls itself; empty before the first contact.
func (c *Client) Version() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.version
}

// Open makes a client; it does not connect yet.
func Open(cfg Config, deps Deps) (*Client, error) {
	if cfg.RetentionMonths <= 0 {
		cfg.RetentionMonths = 25
	}
	if deps.Logger == nil {
		deps.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Cluster != "" && !plainName(cfg.Cluster) {
		return nil, &tandem.Error{Kind: tandem.KindInvalid, Field: "clickhouse.cluster", Message: fmt.Sprintf("cluster name %q", tandem.Clip(cfg.Cluster, 40)), Mend: "use letters, digits and _ only"}
	}
	o := &clickhouse.Options{
		Addr: cfg.Addrs, Auth: clickhouse.Auth{Database: cfg.Database, Username: cfg.Username, Password: cfg.Password}, TLS: cfg.TLS,
		DialTimeout: 5 * time.Second, ReadTimeout: 160 * time.Second, MaxOpenConns: 6, MaxIdleConns: 2, ConnMaxLifetime: time.Hour,
	}
	if cfg.Transport != nil {
		o.Protocol, o.Addr, o.Auth, o.TLS = clickhouse.HTTP, []string{embedded}, clickhouse.Auth{}, nil
		o.TransportFunc = func(*http.Transport) (http.RoundTripper, error) { return cfg.Transport, nil }
	} else if len(cfg.Addrs) == 0 {
		return nil, &tandem.Error{Kind: tandem.KindInvalid, Field: "clickhouse.addresses", Message: "no ClickHouse server is named", Mend: "give host:port (native protocol, usually 9000 or 9440), or use the embedded engine"}
	}
	conn, err := clickhouse.Open(o)
	if err != nil {
		return nil, &tandem.Error{Kind: tandem.KindInvalid, Field: "clickhouse", Message: "the ClickHouse settings don't work", Mend: "check addresses and TLS", Err: err}
	}
	return &Client{cfg: cfg, log: deps.Logger, conn: conn}, nil
}

// Close ends the connections.
func (c *Client) Close() error {
	err := c.conn.Close()
	if t, ok := c.cfg.Transport.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
	return err
}

// localTable is where rows are inserted: in a cluster the shard's own replicated
// table, because the Distributed table's forwarding queue would be another,
// non-durable spool, and would lose the tokens.
func (c *Client) localTable() string {
	if c.cfg.Cluster != "" {
		return "cdr_local"
	}
	return "cdr"
}

func plainName(s string) bool {
	for _, r := range s {
		if r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') {
			return false
		}
	}
	return s != ""
}
