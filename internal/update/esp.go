//go:build linux

package update

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"wellcar.dev/internal/format/cmdline"
	"wellcar.dev/internal/format/pe"
	"wellcar.dev/internal/slot"
	"wellcar.dev/internal/sys/volume"
)

// ESP is the mounted EFI system partition.
type ESP struct {
	Dir string // mount point
	// Free tells the room that is left, bytes; nil asks the file system.
	Free func(dir string) (int64, error)
	// Synced hears whenever what was written here, or to a slot, is on the
	// disk; it may be nil.
	Synced func()
}

// sync waits until all changes are on the disk.
func (e ESP) sync() error {
	err := volume.Sync(filepath.Join(e.Dir, slot.Dir))
	e.synced()
	return err
}

func (e ESP) synced() {
	if e.Synced != nil {
		e.Synced()
	}
}

// margin stays free on the partition beside a new kernel, bytes.
const margin = 1 << 20

func (e ESP) path(file string) string { return filepath.Join(e.Dir, slot.Dir, file) }

// Kernels lists our unified kernel images. One that cannot be read, or names
// no root hash, starts nothing and is listed without one.
func (e ESP) Kernels() ([]slot.Kernel, error) {
	entries, err := os.ReadDir(filepath.Join(e.Dir, slot.Dir))
	if err != nil {
		return nil, fmt.Errorf("listing the kernels on the EFI system partition: %w", err)
	}
	var kernels []slot.Kernel
	for _, entry := range entries {
		n, ok := slot.ParseName(entry.Name())
		if !ok || !entry.Type().IsRegular() {
			continue
		}
		hash, _ := kernelRootHash(e.path(entry.Name()))
		kernels = append(kernels, slot.Kernel{Name: n, RootHash: hash})
	}
	return kernels, nil
}

func kernelRootHash(name string) (hash [32]byte, err error) {
	f, err := os.Open(name)
	if err != nil {
		return hash, err
	}
	defer f.Close()
	line, err := pe.Find(f, ".cmdline")
	if err != nil {
		return hash, err
	}
	return RootHash(strings.TrimRight(string(line), "\x00"))
}

// RootHash finds the root hash in a kernel command line.
func RootHash(line string) (hash [32]byte, err error) {
	value, _ := cmdline.Parse(line).First("verity.usrhash", "usrhash")
	raw, err := hex.DecodeString(value)
	if err != nil || len(raw) != len(hash) {
		return hash, errors.New("the kernel command line names no root hash")
	}
	return [32]byte(raw), nil
}

// Do carries out changes in order, each durable before the next.
func (e ESP) Do(changes []slot.Change) error {
	if len(changes) == 0 {
		return nil
	}
	if err := e.tell(changes, nil); err != nil {
		return err
	}
	for _, c := range changes {
		if err := e.do(c); err != nil {
			return fmt.Errorf("changing the EFI system partition: %w", err)
		}
		if err := e.sync(); err != nil {
			return err
		}
	}
	return nil
}

func (e ESP) do(c slot.Change) error {
	from := e.path(c.From.File())
	if c.To == nil {
		return os.Remove(from)
	}
	return os.Rename(from, e.path(c.To.File()))
}

// CheckRoom says in a sentence if a kernel of that size will not fit once the
// given ones are gone.
func (e ESP) CheckRoom(size int64, removed []slot.Change) error {
	free := e.Free
	if free == nil {
		free = volume.Free
	}
	have, err := free(e.Dir)
	if err != nil {
		return err
	}
	for _, c := range removed {
		if info, err := os.Stat(e.path(c.From.File())); err == nil && c.To == nil {
			have += info.Size()
		}
	}
	if need := size + margin; have < need {
		return fmt.Errorf("checking the EFI system partition: the new kernel needs %d KiB and %d KiB are free; delete files that you put into %s, nothing was changed yet", need>>10, have>>10, e.Dir)
	}
	return nil
}

// Stage writes a kernel beside the others under a name that no boot loader
// takes, and returns how to give it its name.
func (e ESP) Stage(data io.Reader, n slot.Name) (activate func() error, err error) {
	temporary := e.path(n.File()) + ".new"
	if err := writeSynced(temporary, data); err != nil {
		os.Remove(temporary)
		return nil, fmt.Errorf("writing the kernel of %s: %w", n.Version, err)
	}
	return func() error {
		if entry, err := readEntry(n, temporary); err == nil {
			if err := e.tell(nil, &entry); err != nil {
				return err
			}
		}
		if err := os.Rename(temporary, e.path(n.File())); err != nil {
			return fmt.Errorf("activating the kernel of %s: %w", n.Version, err)
		}
		return e.sync()
	}, nil
}

func writeSynced(name string, data io.Reader) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// Tidy removes kernels that a cut left half written.
func (e ESP) Tidy() error {
	left, err := filepath.Glob(e.path("*.new"))
	if err != nil {
		return err
	}
	for _, name := range left {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("tidying the EFI system partition: %w", err)
		}
	}
	return nil
}
