package publish

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strconv"
	"strings"

	"wellcar.dev/internal/format/crau"
	"wellcar.dev/internal/format/erofs"
	"wellcar.dev/internal/format/ext2"
	"wellcar.dev/internal/format/fstree"
	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/release"
)

// MigrateFile is the script that moves a machine with Flatcar or CoreOS
// Container Linux.
const MigrateFile = "migrate.sh"

//go:embed migrate.sh
var migrateScript string

// oldSlot is the size of the /usr partitions of machines that were installed
// with Flatcar before October 2025, bytes.
const oldSlot = 1 << 30

// usrProgram is the program that the payload brings beside the image, as it is
// in /usr.
const usrProgram = "bin/wellcard"

// takeover writes a payload for the update_engine of other systems: our image
// with a file system laid around it, which that program mounts after it wrote
// it, and runs a file in it (package internal/update/takeover).
func (m *maker) takeover(ctx context.Context) error {
	if !m.CrAU {
		return nil
	}
	if m.Keys.Payload == nil {
		return fmt.Errorf("making %s: the folder of keys has no %s; make one with wellcar release keys", crau.File, PayloadKeyFile)
	}
	around, record, err := m.around()
	if err != nil {
		return fmt.Errorf("making %s: %w", crau.File, err)
	}
	if err := m.writeCrAU(ctx, around); err != nil {
		return fmt.Errorf("making %s: %w", crau.File, err)
	}
	if err := m.writeSum(crau.File); err != nil {
		return err
	}
	if err := writeDigests(m.path(crau.File), m.Keys.Image, m.Date); err != nil {
		return err
	}
	return m.script(record)
}

// Takeover writes the payload and the script, and what belongs to them, into a
// folder by themselves, without the rest of a release.
func Takeover(ctx context.Context, in Input, dir string) error {
	b, err := openBuild(in.Build)
	if err != nil {
		return err
	}
	defer b.Close()
	in.CrAU = true
	return (&maker{Input: in, build: b, tmp: dir}).takeover(ctx)
}

// around lays the file system around the image.
func (m *maker) around() (surrounded, release.Takeover, error) {
	r := m.build.record
	files, t, err := m.takeoverFiles()
	if err != nil {
		return surrounded{}, t, err
	}
	image := io.NewSectionReader(m.build.image.Usr, 0, r.Usr.DataSize+r.Usr.TreeSize)
	id := layout.DerivedGUID("takeover file system", []byte(r.RootHash))
	blocks := uint32(image.Size() / ext2.BlockSize)
	plan := func() (ext2.Layout, error) {
		record, err := indent(t)
		if err != nil {
			return ext2.Layout{}, err
		}
		old, err := readBlocks(image, t.Displaced)
		if err != nil {
			return ext2.Layout{}, err
		}
		return ext2.Plan(blocks, append(files, ext2.File{Name: release.TakeoverRecord, Mode: 0o644, Data: record},
			ext2.File{Name: release.TakeoverBlocks, Mode: 0o644, Data: old}), id)
	}
	l, err := plan()
	if err != nil {
		return surrounded{}, t, err
	}
	// Which blocks of the image give way does not depend on the files behind it.
	t.Displaced = l.Displaced(blocks)
	if l, err = plan(); err != nil {
		return surrounded{}, t, err
	}
	if got := l.Displaced(blocks); fmt.Sprint(got) != fmt.Sprint(t.Displaced) {
		return surrounded{}, t, errors.New("BUG: the displaced blocks depend on their number")
	}
	if l.Size > oldSlot {
		return surrounded{}, t, fmt.Errorf("/usr with the program that completes it has %d bytes, and old machines have partitions of %d", l.Size, int64(oldSlot))
	}
	return surround(image, l), t, nil
}

func (m *maker) takeoverFiles() ([]ext2.File, release.Takeover, error) {
	r := m.build.record
	t := release.Takeover{Version: r.Version, RootHash: r.RootHash, UsrSize: r.Usr.DataSize, TreeSize: r.Usr.TreeSize, UKISize: r.UKI.Size, UKIHash: r.UKI.SHA256}
	usr, err := erofs.Open(m.build.image.Usr)
	if err != nil {
		return nil, t, err
	}
	tree, err := usr.Tree()
	if err != nil {
		return nil, t, err
	}
	var files []ext2.File
	for _, f := range brought(tree) {
		n := tree.Get(f.from)
		if n == nil {
			return nil, t, fmt.Errorf("/usr has no %s", f.from)
		}
		data, err := n.Blob.Bytes()
		if err != nil {
			return nil, t, fmt.Errorf("reading %s: %w", f.from, err)
		}
		if f.from == layout.SystemdBoot {
			sum := sha256.Sum256(data)
			t.LoaderHash = hex.EncodeToString(sum[:])
		}
		files = append(files, ext2.File{Name: f.to, Mode: f.mode, Data: data})
	}
	return files, t, nil
}

// bring is a file of /usr that is a file of the payload too.
type bring struct {
	from, to string
	mode     uint16
}

// brought are all of them. Without GRUB the release is for UEFI only.
func brought(usr *fstree.Tree) []bring {
	all := []bring{{usrProgram, release.TakeoverProgram, 0o755}, {layout.SystemdBoot, release.TakeoverLoader, 0o644}}
	dir := strings.TrimPrefix(layout.GrubDir, "usr/")
	for _, name := range layout.GrubFiles {
		if from := path.Join(dir, name); usr.Get(from) != nil {
			all = append(all, bring{from, name, 0o644})
		}
	}
	return all
}

func readBlocks(image io.ReaderAt, numbers []uint32) ([]byte, error) {
	out := make([]byte, len(numbers)*ext2.BlockSize)
	for i, n := range numbers {
		if _, err := image.ReadAt(out[i*ext2.BlockSize:(i+1)*ext2.BlockSize], int64(n)*ext2.BlockSize); err != nil {
			return nil, fmt.Errorf("reading block %d of /usr: %w", n, err)
		}
	}
	return out, nil
}

// surrounded is an image with a file system around it.
type surrounded struct {
	image  *io.SectionReader
	blocks map[uint32][]byte
	size   int64
}

func surround(image *io.SectionReader, l ext2.Layout) surrounded {
	s := surrounded{image, map[uint32][]byte{}, l.Size}
	for _, b := range l.Blocks {
		s.blocks[b.Number] = b.Data
	}
	return s
}

// ReadAt is for io.ReaderAt. It reads whole blocks.
func (s surrounded) ReadAt(p []byte, off int64) (int, error) {
	for at := 0; at < len(p); at += ext2.BlockSize {
		to := p[at:min(at+ext2.BlockSize, len(p))]
		where := off + int64(at)
		switch b, ok := s.blocks[uint32(where/ext2.BlockSize)]; {
		case ok:
			copy(to, b)
		case where < s.image.Size():
			if _, err := s.image.ReadAt(to, where); err != nil {
				return at, err
			}
		case where < s.size:
			clear(to)
		default:
			return at, io.EOF
		}
	}
	return len(p), nil
}

func (m *maker) writeCrAU(ctx context.Context, s surrounded) error {
	scratch, err := os.CreateTemp(m.tmp, ".blobs-")
	if err != nil {
		return err
	}
	defer os.Remove(scratch.Name())
	defer scratch.Close()
	out, err := os.Create(m.path(crau.File))
	if err != nil {
		return err
	}
	src := crau.Source{Partition: s, Size: s.size, Kernel: m.build.uki, KernelLen: m.build.record.UKI.Size}
	_, err = crau.Write(ctx, out, scratch, src, *m.Keys.Payload, crau.Options{Fast: m.Fast, Parallel: m.Parallel,
		Progress: func(done, total int64) { m.report("takeover", done, total) }})
	return errors.Join(err, out.Close())
}

// script fills in what the script has to know.
func (m *maker) script(t release.Takeover) error {
	public, err := m.Keys.Payload.MarshalPublic()
	if err != nil {
		return err
	}
	text := strings.NewReplacer("@VERSION@", t.Version, "@USR@", strconv.Itoa(oldSlot), "@KERNEL@", strconv.FormatInt(t.UKISize, 10),
		"@KEY@", string(bytes.TrimSpace(public))).Replace(migrateScript)
	return os.WriteFile(m.path(MigrateFile), []byte(text), 0o755)
}
