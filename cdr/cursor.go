package cdr

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"

	"tandem"
)

// cursors is what the pipeline remembers across restarts.
type cursors struct {
	Ledger tandem.JournalPos `json:"ledger"` // last position priced
	Writer tandem.JournalPos `json:"writer"` // last position delivered
	// CutFrom and CutTo are a batch that was cut and may have been sent; 0 = none.
	CutFrom tandem.JournalPos `json:"cut_from"`
	CutTo   tandem.JournalPos `json:"cut_to"`
}

// last is the highest position that was read for pricing or delivery.
func (c cursors) last() tandem.JournalPos { return max(c.Ledger, c.Writer, c.CutTo) }

// Progress is how far the delivery of this folder is on record: the highest
// position that was read, and the one up to which rows are stored. The journal
// must not give positions up to read out again, whatever its end looks like
// after damage: a fact there would never be read.
func Progress(dir string) (read, stored tandem.JournalPos, err error) {
	c, err := loadCursors(filepath.Join(dir, cursorName))
	return c.last(), c.Writer, err
}

const cursorName = "delivery.json"

type cursorFile struct {
	Cursors json.RawMessage `json:"cursors"`
	CRC32   uint32          `json:"crc32"`
}

// loadCursors reads the file; none is the beginning. A damaged one is an error:
// starting over would send old rows in new batches.
func loadCursors(path string) (c cursors, err error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	damaged := func(err error) error {
		return &tandem.Error{Kind: tandem.KindUnavailable, Field: path, Message: "the delivery cursor is not readable",
			Mend: "restore the file from a backup, or remove it to deliver the whole journal again (rows are replaced by their ID, not doubled, in reports)", Err: err}
	}
	if err != nil {
		return c, damaged(err)
	}
	var f cursorFile
	if err := json.Unmarshal(b, &f); err != nil {
		return c, damaged(err)
	}
	if sum := crc32.ChecksumIEEE(f.Cursors); sum != f.CRC32 {
		return c, damaged(fmt.Errorf("checksum %d, want %d", sum, f.CRC32))
	}
	if err := json.Unmarshal(f.Cursors, &c); err != nil {
		return c, damaged(err)
	}
	return c, nil
}

// saveCursors replaces the file durably: after a crash it holds the old or the
// new cursors, never a part.
func saveCursors(path string, c cursors) error {
	body, err := json.Marshal(c)
	if err != nil {
		return err
	}
	b, err := json.Marshal(cursorFile{Cursors: body, CRC32: crc32.ChecksumIEEE(body)})
	if err != nil {
		return err
	}
	return replaceFile(path, append(b, '\n'))
}

func replaceFile(path string, body []byte) error {
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(body)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
