//go:build linux

package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"wellcar.dev/internal/format/gpt"
	"wellcar.dev/internal/sys/blockdev"
	"wellcar.dev/internal/update/cgpt"
)

const cgptUsage = `Usage: cgpt COMMAND [FLAG...] DRIVE

  add         change or add a partition (-i -b -s -t -u -l -B -S -T -P -A)
  boot        accepted and ignored: firmware does not start partitions here
  create      make an empty table
  find        list partitions (-t -u -l -M -O -v -n -1), of all disks without DRIVE
  legacy      accepted and ignored
  next        print the GUID of the slot that starts next
  prioritize  start a slot first (-i -f)
  repair      write both copies of the table
  resize      grow a partition to the room behind it (-i -m)
  show        print the table (-i -n -q -v; with -i also -b -s -t -u -l -S -T -P -A)

DRIVE is a disk, a partition (then -i is implied), or the file of a disk image.
`

// runCgpt is the partition tool.
func runCgpt(_ context.Context, args []string, out, errOut io.Writer) error {
	if len(args) == 0 || args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		fmt.Fprint(errOut, cgptUsage)
		return errUsage
	}
	c := newCgptCommand(args[0], out)
	c.flags.SetOutput(errOut)
	verbs := map[string]func() error{"add": c.add, "boot": c.nothing, "legacy": c.nothing, "create": c.create, "find": c.find, "next": c.next,
		"prioritize": c.prioritize, "repair": c.repair, "resize": c.resize, "show": c.show}
	do := verbs[c.verb]
	if do == nil {
		fmt.Fprint(errOut, cgptUsage)
		return errUsage
	}
	c.declare()
	if err := c.flags.Parse(c.apart(args[1:])); err != nil {
		return errUsage
	}
	return do()
}

func newCgptCommand(verb string, out io.Writer) *cgptCommand {
	return &cgptCommand{verb: verb, out: out, flags: flag.NewFlagSet("cgpt "+verb, flag.ContinueOnError),
		devices: func() ([]blockdev.Device, error) { return blockdev.List("/sys") }}
}

// cgptCommand is one call. Flags are text until it is known which were given.
type cgptCommand struct {
	verb    string
	out     io.Writer
	flags   *flag.FlagSet
	devices func() ([]blockdev.Device, error) // of the machine
	number  int
	disk    cgpt.Disk
	path    string // of the disk
	set     map[string]string
	values  map[string]bool // flags that have a value
}

// apart parts a value that is written right behind its flag: -S1.
func (c *cgptCommand) apart(args []string) (out []string) {
	for _, a := range args {
		if len(a) > 2 && a[0] == '-' && c.values[a[1:2]] && a[2] != '=' {
			out = append(out, a[:2], a[2:])
			continue
		}
		out = append(out, a)
	}
	return out
}

// declare makes every flag of every command known; those of show with a value
// elsewhere have none there.
func (c *cgptCommand) declare() {
	c.set, c.values = map[string]string{}, map[string]bool{}
	values, switches := "i b s t u l B S T P A M m O D", "v n q 1 f d z c p N"
	if c.verb == "show" {
		values, switches = "i D", "v n q d b s t u l S T P A"
	}
	for _, name := range strings.Fields(values) {
		c.values[name] = true
		c.flags.Func(name, "", func(v string) error { c.set[name] = v; return nil })
	}
	for _, name := range strings.Fields(switches) {
		c.flags.BoolFunc(name, "", func(string) error { c.set[name] = "1"; return nil })
	}
}

// load reads the table of the drive that the command line ends with.
func (c *cgptCommand) load() error {
	drive, err := c.drive()
	if err != nil {
		return err
	}
	name, err := filepath.EvalSymlinks(drive)
	if err != nil {
		return fmt.Errorf("finding the drive: %w", err)
	}
	if c.number, err = c.partition(); err != nil {
		return err
	}
	c.path = name
	all, err := c.devices()
	if err != nil {
		return err
	}
	for _, d := range all {
		if d.Path == name && d.Partition > 0 {
			c.path, c.number = "/dev/"+d.Disk, d.Partition
		}
	}
	return c.read(all)
}

// drive is the one that the command line ends with.
func (c *cgptCommand) drive() (string, error) {
	if c.flags.NArg() != 1 {
		return "", fmt.Errorf("reading the command line of %s: name one drive, not %d", c.flags.Name(), c.flags.NArg())
	}
	return c.flags.Arg(0), nil
}

// partition is what -i says; 0 if it is not there.
func (c *cgptCommand) partition() (int, error) {
	text, ok := c.set["i"]
	if !ok {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 0, 64)
	if err != nil || n > gpt.Entries {
		return 0, fmt.Errorf("-i %q is no number from 0 to %d", text, gpt.Entries)
	}
	return int(n), nil
}

func (c *cgptCommand) read(all []blockdev.Device) error {
	f, err := os.Open(c.path)
	if err != nil {
		return err
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	sector := 0
	for _, d := range all {
		if d.Path == c.path {
			sector = int(d.SectorSize)
		}
	}
	if c.disk.Table, _, err = gpt.Read(f, size, sector); err != nil {
		return fmt.Errorf("reading the partition table of %s: %w", c.path, err)
	}
	c.disk.Slots = runningSlots(c.path)
	return nil
}

func (c *cgptCommand) write() error {
	f, err := os.OpenFile(c.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := c.disk.Table.Write(f); err != nil {
		return err
	}
	return f.Sync()
}

func (c *cgptCommand) nothing() error { return c.load() }

func (c *cgptCommand) show() error {
	if err := c.load(); err != nil {
		return err
	}
	o := cgpt.ShowOptions{Number: c.number, Numeric: c.set["n"] != "", Quick: c.set["q"] != ""}
	for _, field := range strings.Fields("b s t u l S T P A") {
		if c.set[field] != "" {
			o.Field = field
		}
	}
	return c.disk.Show(c.out, o)
}

// fields reads the flags that describe a partition.
func (c *cgptCommand) fields() (f cgpt.Fields, err error) {
	f.CreateGUID = func() gpt.GUID { return gpt.RandomGUID(rand.Reader) }
	number := func(name string, limit uint64) *uint64 {
		text, ok := c.set[name]
		if !ok {
			return nil
		}
		n, e := strconv.ParseUint(text, 0, 64)
		if e != nil || n > limit {
			err = errors.Join(err, fmt.Errorf("-%s %q is no number from 0 to %d", name, text, limit))
		}
		return &n
	}
	small := func(name string) *int {
		if n := number(name, 15); n != nil {
			v := int(*n)
			return &v
		}
		return nil
	}
	truth := func(name string) *bool {
		if n := number(name, 1); n != nil {
			v := *n == 1
			return &v
		}
		return nil
	}
	f.Begin, f.Size, f.Attributes = number("b", 1<<62), number("s", 1<<62), number("A", 1<<16-1)
	f.Boot, f.Successful, f.Tries, f.Priority = truth("B"), truth("S"), small("T"), small("P")
	if v, ok := c.set["l"]; ok {
		f.Label = &v
	}
	if v, ok := c.set["t"]; ok {
		g, e := cgpt.ParseType(v)
		f.Type, err = &g, errors.Join(err, e)
	}
	if v, ok := c.set["u"]; ok {
		g, e := gpt.ParseGUID(v)
		f.GUID, err = &g, errors.Join(err, e)
	}
	return f, err
}

func (c *cgptCommand) add() error {
	if err := c.load(); err != nil {
		return err
	}
	f, err := c.fields()
	if err != nil {
		return err
	}
	before := slices.Clone(c.disk.Table.Partitions)
	if err := c.disk.Add(c.number, f); err != nil || slices.Equal(c.disk.Table.Partitions, before) {
		return err
	}
	return c.write()
}

func (c *cgptCommand) create() error {
	drive, err := c.drive()
	if err != nil {
		return err
	}
	c.path = drive
	f, err := os.Open(c.path)
	if err != nil {
		return err
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	c.disk.Table = gpt.Table{DiskGUID: gpt.RandomGUID(rand.Reader), SectorSize: 512, Sectors: uint64(size / 512)}
	return c.write()
}

func (c *cgptCommand) next() error {
	if err := c.load(); err != nil {
		return err
	}
	p, err := c.disk.Next()
	if err == nil {
		_, err = fmt.Fprintln(c.out, strings.ToUpper(p.GUID.String()))
	}
	return err
}

func (c *cgptCommand) prioritize() error {
	if err := c.load(); err != nil {
		return err
	}
	before := slices.Clone(c.disk.Table.Partitions)
	if err := c.disk.Prioritize(c.number, c.set["f"] != ""); err != nil || slices.Equal(c.disk.Table.Partitions, before) {
		return err
	}
	return c.write()
}

func (c *cgptCommand) repair() error {
	if err := c.load(); err != nil {
		return err
	}
	f, err := os.Open(c.path)
	if err != nil {
		return err
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if first, second := gpt.Damage(f, size, c.disk.Table.SectorSize); first == nil && second == nil {
		return nil
	}
	return c.write()
}

func (c *cgptCommand) resize() error {
	if err := c.load(); err != nil {
		return err
	}
	least := uint64(1)
	if text, ok := c.set["m"]; ok {
		n, err := strconv.ParseUint(text, 0, 63)
		if err != nil {
			return fmt.Errorf("-m %q is no number of sectors", text)
		}
		least = n
	}
	grew, err := c.disk.Resize(c.number, least)
	if err != nil || !grew {
		return err
	}
	if err := c.write(); err != nil {
		return err
	}
	p, _ := c.disk.Table.Partition(c.number)
	unit := int64(c.disk.Table.SectorSize)
	return blockdev.ResizePartition(c.path, c.number, int64(p.First)*unit, int64(p.Sectors())*unit)
}
