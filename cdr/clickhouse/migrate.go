package clickhouse

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"text/template"

	"github.com/ClickHouse/clickhouse-go/v2"

	"tandem"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// The oldest server that has what we rely on: text parameters, tokens on plain
// tables, DateTime64. Debian 12's own package is 18.16.
const minMajor, minMinor = 24, 8

// Migrate checks the server's version and applies what is missing, each file
// once. Statements are written so that a file cut short by a crash can run
// again. It is cheap once done.
func (c *Client) Migrate(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.migrated {
		return nil
	}
	v, err := c.conn.ServerVersion()
	if err != nil {
		return fmt.Errorf("ask ClickHouse for its version: %w", err)
	}
	have := v.Version
	since := func(major, minor int) bool {
		return int(have.Major) > major || int(have.Major) == major && int(have.Minor) >= minor
	}
	if !since(minMajor, minMinor) {
		return &tandem.Error{Kind: tandem.KindUnavailable, Field: "clickhouse", Message: fmt.Sprintf("ClickHouse %d.%d is too old", have.Major, have.Minor),
			Mend: fmt.Sprintf("use %d.%d or newer, or the embedded engine", minMajor, minMinor)}
	}
	c.version = fmt.Sprintf("%d.%d.%d", have.Major, have.Minor, have.Patch)
	c.textIndex = since(26, 2)
	names := c.names()
	engine := "MergeTree"
	if c.cfg.Cluster != "" {
		engine = "ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/tandem_migration', '{replica}')"
	}
	err = c.conn.Exec(ctx, "CREATE TABLE IF NOT EXISTS tandem_migration"+names["OnCluster"].(string)+
		" (version UInt32, name String, applied DateTime DEFAULT now()) ENGINE = "+engine+" ORDER BY version")
	if err != nil {
		return fmt.Errorf("make the migration table: %w", err)
	}
	files, err := fs.Glob(migrationFiles, "migrations/*.sql")
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := c.applyFile(ctx, file, names, since); err != nil {
			return fmt.Errorf("migration %s: %w", file, err)
		}
	}
	c.migrated = true
	return nil
}

func (c *Client) applyFile(ctx context.Context, file string, names map[string]any, since func(major, minor int) bool) error {
	base := strings.TrimPrefix(file, "migrations/")
	version, err := strconv.ParseUint(base[:4], 10, 32)
	if err != nil {
		return err
	}
	body, err := migrationFiles.ReadFile(file)
	if err != nil {
		return err
	}
	if first, _, _ := strings.Cut(string(body), "\n"); strings.HasPrefix(first, "-- requires ") {
		var needMajor, needMinor int
		if _, err := fmt.Sscanf(first, "-- requires %d.%d", &needMajor, &needMinor); err != nil {
			return err
		}
		if !since(needMajor, needMinor) {
			return nil // it is looked at again at the next start, after an upgrade
		}
	}
	var applied uint64
	if err := c.conn.QueryRow(ctx, "SELECT count() FROM tandem_migration WHERE version = {version:UInt32}", clickhouse.Named("version", uint32(version))).Scan(&applied); err != nil {
		return err
	}
	if applied > 0 {
		return nil
	}
	text, err := render(base, string(body), names)
	if err != nil {
		return err
	}
	for statement := range strings.SplitSeq(stripComments(text), ";\n") {
		if strings.TrimSpace(statement) == "" {
			continue
		}
		if err := c.conn.Exec(ctx, statement); err != nil {
			return err
		}
	}
	c.log.Info("clickhouse: migration applied", "name", base)
	return c.conn.Exec(ctx, fmt.Sprintf("INSERT INTO tandem_migration (version, name) SELECT %d, '%s'", version, base))
}

// names fill the migrations' blanks; all come from validated configuration.
func (c *Client) names() map[string]any {
	settings := "non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1"
	engine, onCluster := "ReplacingMergeTree(version)", ""
	if c.cfg.Cluster != "" {
		// The window counts in seconds too: a batch must stay recognisable through a week's outage.
		settings = "replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800"
		engine = "ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/cdr_local', '{replica}', version)"
		onCluster = " ON CLUSTER " + c.cfg.Cluster
	}
	return map[string]any{"Local": c.localTable(), "OnCluster": onCluster, "Engine": engine, "Cluster": c.cfg.Cluster,
		"TableSettings": settings, "RetentionMonths": c.cfg.RetentionMonths}
}

func render(name, text string, data any) (string, error) {
	t, err := template.New(name).Parse(text)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	err = t.Execute(&b, data)
	return b.String(), err
}

func stripComments(sql string) string {
	var b strings.Builder
	for line := range strings.Lines(sql) {
		if !strings.HasPrefix(strings.TrimSpace(line), "--") {
			b.WriteString(line)
		}
	}
	return b.String()
}
