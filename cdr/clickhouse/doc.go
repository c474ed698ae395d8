// Package clickhouse stores and reports call detail records in ClickHouse:
// a server or cluster over the native protocol, or the embedded engine over
// HTTP, with the same SQL. Migrations and reports are .sql files of this
// folder; every value is a bound parameter; money is Decimal and never
// computed with floats.
package clickhouse
