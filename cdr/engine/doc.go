// Package engine runs the embedded ClickHouse: the real engine as a library
// (libchdb.so) in a child process of the same binary, so that an engine fault
// ends a child and never a call.
//
// RunChild is the child (`tandem engine`): it loads the library, opens the data
// folder, and serves ClickHouse's HTTP interface on a loopback port behind a
// token. Supervisor is the parent: it starts the child, restarts it with
// back-off when it dies, and gives clickhouse-go a transport that always finds
// the present child. The child ends when its standard input does, so it never
// outlives the parent, however that dies.
package engine
