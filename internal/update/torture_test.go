//go:build linux

package update

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"wellcar.dev/internal/format/verity"
	"wellcar.dev/internal/slot"
)

// shot is what is on the disk of a box: the names of files and their bytes.
// The slots are files of dev, the EFI system partition is boot, and var is on
// ROOT.
type shot map[string][]byte

func (b *box) shoot() shot {
	b.Helper()
	s := shot{}
	for _, top := range []string{"dev", "boot", "var"} {
		err := filepath.WalkDir(filepath.Join(b.root, top), func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil || d.IsDir() {
				return err
			}
			name, err := filepath.Rel(b.root, path)
			if err != nil {
				return err
			}
			s[name], err = os.ReadFile(path)
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	return s
}

// restore makes the disk that of a shot.
func (b *box) restore(s shot) {
	b.Helper()
	for _, top := range []string{"dev", "boot", "var"} {
		if err := os.RemoveAll(filepath.Join(b.root, top)); err != nil {
			b.Fatal(err)
		}
	}
	for name, data := range s {
		write(b.T, b.root, name, data)
	}
}

// cutBetween is what a power cut may leave of what was written between two
// shots: each block of a slot and each file of ROOT, which is replaced as a
// whole, is the old or the new one. A new file on the EFI system partition
// may be missing or have any bytes; of a rename both names may be there, or,
// where something else can start, none.
func cutBetween(before, after shot, r *rand.Rand) shot {
	out := shot{}
	for name, old := range before {
		now, kept := after[name]
		switch {
		case strings.HasPrefix(name, "dev/"):
			out[name] = mixBlocks(old, now, r)
		case kept && r.IntN(2) == 0:
			out[name] = now
		case kept || r.IntN(2) == 0:
			out[name] = old
		}
	}
	for name, now := range after {
		if _, had := before[name]; had {
			continue
		}
		whole := strings.HasPrefix(name, "var/") || renamed(before, now)
		switch {
		case r.IntN(3) == 0:
		case whole:
			out[name] = now
		default:
			out[name] = mixBlocks(make([]byte, len(now)), now, r)[:r.IntN(len(now)+1)]
		}
	}
	if !startable(out) { // the loader's own renames have this risk; ours never add to it
		for name, old := range before {
			if strings.HasPrefix(name, "boot/") && strings.HasSuffix(name, ".efi") {
				out[name] = old
			}
		}
	}
	return out
}

// renamed says that the bytes were on the partition under another name.
func renamed(before shot, data []byte) bool {
	for name, old := range before {
		if strings.HasPrefix(name, "boot/") && bytes.Equal(old, data) {
			return true
		}
	}
	return false
}

func startable(s shot) bool {
	for name := range s {
		if strings.HasPrefix(name, "boot/EFI/Linux/") && strings.HasSuffix(name, ".efi") {
			return true
		}
	}
	return false
}

func mixBlocks(old, now []byte, r *rand.Rand) []byte {
	out := bytes.Clone(old)
	for at := 0; at < len(now); at += verity.BlockSize {
		if end := min(at+verity.BlockSize, len(now)); r.IntN(2) == 0 {
			copy(out[at:end], now[at:end])
		}
	}
	return out
}

// life runs a box from boot to boot until nothing changes any more. sick are
// the versions that do not pass their checks.
func (b *box) life(sick string, images ...made) (running string) {
	b.Helper()
	for n := range 12 {
		m := b.start(fmt.Sprintf("life-%d", n), images...)
		b.sameSlot(b.slotFile(), m)
		s, _ := b.service()
		s.Logf = func(string, ...any) {}
		if m.Version == sick {
			s.Prove = func(context.Context) error { return errors.New("the application is gone") }
		}
		if end := b.round(s); end == Idle && m.Version != sick {
			return m.Version
		}
	}
	b.Fatalf("it does not settle; kernels %s", b.kernels())
	return ""
}

// slotFile is the slot that runs.
func (b *box) slotFile() string {
	b.Helper()
	_, booted, err := b.boot.Devices()
	if err != nil {
		b.Fatal(err)
	}
	return fmt.Sprintf("dev/vda%d", partitionOf(booted))
}

// round runs the client until it reboots or one check has ended.
func (b *box) round(s *Service) (end Operation) {
	b.Helper()
	ctx, stop := context.WithCancel(b.Context())
	defer stop()
	states := make(chan Operation, 1000)
	s.Notify = func(st Status) { states <- st.Operation }
	s.Reboot = func(bool) error { states <- "REBOOT"; return nil }
	s.Start()
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	defer func() { stop(); <-ended }()
	<-s.judged
	select {
	case op := <-states:
		return op // it reboots: nothing else is told before a check
	default:
	}
	s.Attempt()
	for op := range states {
		if op == Idle || op == NeedReboot {
			return op
		}
	}
	return ""
}

// TestPowerCuts cuts an update, and the way back from one, at many points:
// between each two writes that were waited for, with any of what was under way
// on the disk. Whatever is there starts something whole, and in the end the
// machine runs what it would have run without the cut.
func TestPowerCuts(t *testing.T) {
	one, two := makeImage(t, "1.0.0"), makeImage(t, "1.1.0")
	p := newPublisher(t)
	w := newWorld(t, p.Publish(t, two, one))
	for _, c := range []struct{ name, sick, want string }{{"good", "", "1.1.0"}, {"sick", "1.1.0", "1.0.0"}} {
		t.Run(c.name, func(t *testing.T) {
			b := newBox(t, one, p.Trust)
			b.follow(w)
			write(t, b.root, "var/home/data", []byte("of the owner"))
			shots := b.record(func() {
				if got := b.life(c.sick, one, two); got != c.want {
					t.Fatalf("without a cut: %s", got)
				}
			})
			points := 0
			r := rand.New(rand.NewPCG(4, uint64(len(c.name))))
			for n := 1; n < len(shots); n++ {
				for range max(1, (60+len(shots)-1)/len(shots)) {
					points++
					b.restore(cutBetween(shots[n-1], shots[n], r))
					if got := b.life(c.sick, one, two); got != c.want {
						t.Errorf("cut behind write %d of %d: %s runs; kernels %s", n, len(shots), got, b.kernels())
					}
					b.remembers(c.sick)
				}
			}
			t.Logf("%d points between %d writes", points, len(shots))
			if points < 50 {
				t.Errorf("only %d points", points)
			}
		})
	}
}

// record keeps the disk of the box at each write that is waited for.
func (b *box) record(do func()) (shots []shot) {
	shots = []shot{b.shoot()}
	b.boot.ESP.Synced = func() { shots = append(shots, b.shoot()) }
	do()
	b.boot.ESP.Synced = nil
	return append(shots, b.shoot())
}

// remembers holds that what was given up is known, and that the owner's files
// are there.
func (b *box) remembers(sick string) {
	b.Helper()
	bad, err := LoadBad(b.root)
	if err != nil {
		b.Error(err)
	}
	if known := slices.ContainsFunc(bad, func(x slot.Bad) bool { return x.Version == sick }); known != (sick != "") {
		b.Errorf("given up: %+v", bad)
	}
	if data, err := os.ReadFile(filepath.Join(b.root, "var/home/data")); err != nil || string(data) != "of the owner" {
		b.Errorf("the owner's file: %q, %v", data, err)
	}
}

// TestCorruptSlot changes each block of a slot that was installed: the
// verified /usr does not give it out, so that the version cannot prove itself.
func TestCorruptSlot(t *testing.T) {
	two := makeImage(t, "1.1.0")
	size := two.Release.UsrSize
	for at := int64(0); at < int64(len(two.Usr)); at += verity.BlockSize {
		data := bytes.Clone(two.Usr)
		data[at+at/verity.BlockSize*37%verity.BlockSize] ^= 0x20
		err := verity.Verify(bytes.NewReader(data), 0, size, two.Release.RootHash)
		sb := at >= size && at < size+verity.BlockSize
		if err == nil && !(sb && same(data, two.Usr, size)) {
			t.Errorf("a change in the block at %d is not seen", at)
		}
	}
}

// same says that the superblock means what it meant: its padding is nobody's
// concern.
func same(a, b []byte, at int64) bool {
	x, err1 := verity.ReadSuperblock(a[at:][:verity.BlockSize])
	y, err2 := verity.ReadSuperblock(b[at:][:verity.BlockSize])
	return err1 == nil && err2 == nil && fmt.Sprint(x) == fmt.Sprint(y)
}

// TestCorruptWrites changes each region of the slot while it is written, as a
// disk does that loses writes: the new version is not activated then.
func TestCorruptWrites(t *testing.T) {
	one, two := makeImage(t, "1.0.0"), makeImage(t, "1.1.0")
	p := newPublisher(t)
	dir := p.Publish(t, two)
	for at := int64(0); at < two.Release.UsrSize; at += two.Release.UsrSize / 8 {
		b := newBox(t, one, p.Trust)
		b.boot.ESP.Synced = func() { b.flip("dev/vda4", at, two.Usr[at]) }
		prefs := Prefs{filepath.Join(b.root, PrefsDir)}
		rel, err := OpenLocal(dir, Verifier{Root: b.root, Board: "amd64-usr", Prefs: prefs, Now: now})
		if err != nil {
			t.Fatal(err)
		}
		in := &Installer{Boot: b.boot, Prefs: prefs, Logf: func(string, ...any) {}}
		_, err = in.Install(t.Context(), rel)
		held := b.shoot()["dev/vda4"]
		if err == nil && verity.Verify(bytes.NewReader(held), 0, two.Release.UsrSize, two.Release.RootHash) == nil && !bytes.Equal(held[:len(two.Usr)], two.Usr) {
			t.Errorf("a change at %d passes", at)
		}
		if err != nil && b.kernels() != "1.0.0" {
			t.Errorf("%v; and yet there are the kernels %s", err, b.kernels())
		}
		b.sameSlot("dev/vda3", one)
	}
}

// flip changes a byte that has been written.
func (b *box) flip(name string, at int64, written byte) {
	f, err := os.OpenFile(filepath.Join(b.root, name), os.O_RDWR, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	got := make([]byte, 1)
	if _, err := f.ReadAt(got, at); err != nil || got[0] != written {
		return
	}
	if _, err := f.WriteAt([]byte{written ^ 1}, at); err != nil {
		b.Fatal(err)
	}
}
