package journal

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// FS is the part of the file system that the journal uses; tests inject faults
// through it.
type FS interface {
	// OpenFile opens for reading and writing; with create the file must not exist.
	OpenFile(name string, create bool) (File, error)
	Remove(name string) error
	Rename(from, to string) error
	ReadDir(name string) ([]fs.DirEntry, error)
	MkdirAll(name string) error
	// SyncDir makes creations, renames and removals in a folder durable.
	SyncDir(name string) error
	// Lock takes the exclusive lock file of a folder; release with Close. A held
	// lock gives an error for which IsLocked is true.
	Lock(name string) (interface{ Close() error }, error)
}

// File is one open file.
type File interface {
	ReadAt(b []byte, off int64) (int, error)
	WriteAt(b []byte, off int64) (int, error)
	Truncate(size int64) error
	Sync() error
	// Allocate reserves disk space up to size without changing the file's length.
	Allocate(size int64) error
	Size() (int64, error)
	Close() error
}

// OS is the true file system.
type OS struct{}

// OpenFile implements FS.
func (OS) OpenFile(name string, create bool) (File, error) {
	flags := os.O_RDWR
	if create {
		flags |= os.O_CREATE | os.O_EXCL
	}
	f, err := os.OpenFile(name, flags, 0o600)
	if err != nil {
		return nil, err
	}
	raw, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return nil, err
	}
	return osFile{f, raw}, nil
}

// Remove implements FS.
func (OS) Remove(name string) error { return os.Remove(name) }

// Rename implements FS.
func (OS) Rename(from, to string) error { return os.Rename(from, to) }

// ReadDir implements FS.
func (OS) ReadDir(name string) ([]fs.DirEntry, error) { return os.ReadDir(name) }

// MkdirAll implements FS.
func (OS) MkdirAll(name string) error { return os.MkdirAll(name, 0o700) }

// SyncDir implements FS.
func (OS) SyncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Lock implements FS with flock(2): the kernel drops it with the process.
func (OS) Lock(name string) (interface{ Close() error }, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, &os.PathError{Op: "lock", Path: name, Err: err}
	}
	return f, nil
}

// IsLocked reports whether err says that another process holds the lock.
func IsLocked(err error) bool { return errors.Is(err, unix.EWOULDBLOCK) }

// osFile makes its system calls through raw, which holds the descriptor: a
// close meanwhile can't give its number to another file.
type osFile struct {
	*os.File
	raw syscall.RawConn
}

// Sync is fdatasync(2): times are not worth a second disk write, the length is included.
func (f osFile) Sync() error { return f.control(unix.Fdatasync) }

func (f osFile) Allocate(size int64) error {
	err := f.control(func(fd int) error { return unix.Fallocate(fd, unix.FALLOC_FL_KEEP_SIZE, 0, size) })
	if err == unix.EOPNOTSUPP || err == unix.ENOSYS {
		return nil // the file system can't reserve: writes find out
	}
	return err
}

func (f osFile) control(call func(fd int) error) error {
	var err error
	if closed := f.raw.Control(func(fd uintptr) {
		for {
			if err = call(int(fd)); err != unix.EINTR {
				return
			}
		}
	}); closed != nil {
		return closed
	}
	return err
}

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func isNoSpace(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }
