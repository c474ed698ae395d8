// Package journal is the only truth about calls: an append-only log of facts
// (call start, answer, checkpoint, end) in segments of checksummed frames, with
// group commit. Its form is drawn in docs/formats/journal.md.
//
// How a fact flows: Record encodes it at once into memory and returns its
// position; one writer goroutine hands batches to the file system (write), then
// tells OnWritten; one sync goroutine makes them durable within
// Config.SyncEvery (fdatasync) and moves Synced. Readers see durable facts only:
// nobody books money on a fact that a power cut could take back.
//
// What survives what: kill -9 loses nothing that OnWritten reported; a power
// cut loses nothing below Synced. Open cuts a torn tail, sets damage aside
// without losing what follows, and ends the calls that a crash left open.
package journal
