//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"wellcar.dev/internal/update/cgpt"
)

// find lists the partitions that match, of the drive that is named or of every
// disk.
func (c *cgptCommand) find() error {
	f, err := c.fields()
	if err != nil {
		return err
	}
	match, err := c.content()
	if err != nil {
		return err
	}
	var listed bytes.Buffer
	found := 0
	err = c.eachDisk(func() error {
		for _, n := range c.disk.Find(f) {
			ok, err := match.in(c.path, c.disk, n)
			if err != nil {
				return err
			}
			if ok {
				found++
				if err := c.list(&listed, n); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if found == 0 || c.set["1"] != "" && found != 1 {
		return fmt.Errorf("%d partitions match", found)
	}
	_, err = c.out.Write(listed.Bytes())
	return err
}

// list prints one partition.
func (c *cgptCommand) list(w io.Writer, number int) error {
	if c.set["n"] != "" {
		fmt.Fprintln(w, number)
	} else {
		fmt.Fprintln(w, partitionPath(c.path, number))
	}
	if c.set["v"] == "" {
		return nil
	}
	return c.disk.Show(w, cgpt.ShowOptions{Number: number})
}

// eachDisk reads the table of the drive that is named, or of each disk in turn
// that has one.
func (c *cgptCommand) eachDisk(do func() error) error {
	if c.flags.NArg() > 0 {
		if err := c.load(); err != nil {
			return err
		}
		return do()
	}
	all, err := c.devices()
	if err != nil {
		return err
	}
	for _, d := range all {
		if !d.IsDisk() || strings.HasPrefix(d.Name, "dm-") { // what is mapped lies on a disk of the list
			continue
		}
		c.path, c.disk = d.Path, cgpt.Disk{}
		switch err := c.read(all); {
		case errors.Is(err, fs.ErrPermission):
			return err
		case err != nil: // it has no table, or no medium
			continue
		}
		if err := do(); err != nil {
			return err
		}
	}
	return nil
}

// content is what -M and -O ask for.
func (c *cgptCommand) content() (w wanted, err error) {
	if text, ok := c.set["O"]; ok {
		if w.offset, err = strconv.ParseInt(text, 0, 64); err != nil || w.offset < 0 {
			return w, fmt.Errorf("-O %q is no number of bytes", text)
		}
	}
	name, ok := c.set["M"]
	if !ok {
		return w, nil
	}
	if w.data, err = os.ReadFile(name); err != nil {
		return w, fmt.Errorf("reading what partitions are to hold: %w", err)
	}
	return w, nil
}

// wanted is content that a partition is to have at an offset, bytes.
type wanted struct {
	data   []byte
	offset int64
}

// in says whether a partition of a disk has it.
func (w wanted) in(path string, disk cgpt.Disk, number int) (bool, error) {
	if len(w.data) == 0 {
		return true, nil
	}
	p, _ := disk.Table.Partition(number)
	unit := int64(disk.Table.SectorSize)
	if w.offset > int64(p.Sectors())*unit-int64(len(w.data)) {
		return false, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	have := make([]byte, len(w.data))
	if _, err := f.ReadAt(have, int64(p.First)*unit+w.offset); err != nil {
		return false, fmt.Errorf("reading partition %d of %s: %w", number, path, err)
	}
	return bytes.Equal(have, w.data), nil
}

// partitionPath is the device node of a partition.
func partitionPath(disk string, number int) string {
	if last := disk[len(disk)-1]; last >= '0' && last <= '9' {
		return fmt.Sprintf("%sp%d", disk, number)
	}
	return fmt.Sprintf("%s%d", disk, number)
}
