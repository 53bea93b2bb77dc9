package cpio

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"wellcar.dev/internal/format/fstree"
	"wellcar.dev/internal/sys/hermetic/tooltest"
)

func sample(t testing.TB) *fstree.Tree {
	t.Helper()
	tr := fstree.New()
	blob := fstree.BytesBlob([]byte("init\n"))
	for _, n := range []fstree.Node{
		{Path: "init", Kind: fstree.File, Mode: 0o755, Blob: blob},
		{Path: "sbin/init", Kind: fstree.File, Mode: 0o755, Blob: blob, LinkTo: "init"},
		{Path: "a/init", Kind: fstree.File, Mode: 0o755, Blob: blob, LinkTo: "init"},
		{Path: "bin", Kind: fstree.Symlink, Mode: 0o777, Target: "usr/bin"},
		{Path: "dev/console", Kind: fstree.CharDevice, Mode: 0o600, Major: 5, Minor: 1},
		{Path: "dev/sda", Kind: fstree.BlockDevice, Mode: 0o660, GID: 6, Major: 8},
		{Path: "run/pipe", Kind: fstree.Fifo, Mode: 0o600},
		{Path: "empty", Kind: fstree.File, Mode: 0o4644, UID: 500, GID: 500},
		{Path: "tmp", Kind: fstree.Dir, Mode: 0o1777},
		{Path: "odd", Kind: fstree.File, Mode: 0o644, Blob: fstree.BytesBlob(make([]byte, 1001))},
	} {
		if err := tr.Put(n); err != nil {
			t.Fatal(err)
		}
	}
	return tr
}

func archive(t testing.TB, tr *fstree.Tree) []byte {
	t.Helper()
	var buf bytes.Buffer
	if err := Write(&buf, tr); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// nodes are the nodes of a tree with hard links normalised to the first name
// in tree order and with their content's hash only.
func nodes(tr *fstree.Tree) (all []fstree.Node) {
	first := map[string]string{}
	for _, n := range tr.Nodes() {
		c := *n
		key := firstName(n)
		if first[key] == "" {
			first[key] = n.Path
		}
		if c.LinkTo = first[key]; c.LinkTo == c.Path {
			c.LinkTo = ""
		}
		if c.Blob.Size == 0 {
			c.Blob = fstree.Blob{}
		}
		all = append(all, c)
	}
	return all
}

var ignoreSource = cmpopts.IgnoreFields(fstree.Blob{}, "Source", "Offset")

func TestRoundTrip(t *testing.T) {
	want := sample(t)
	data := archive(t, want)
	if len(data)%512 != 0 {
		t.Errorf("%d bytes", len(data))
	}
	got, err := Read(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(nodes(want), nodes(got), ignoreSource); diff != "" {
		t.Error(diff)
	}
	if !bytes.Equal(data, archive(t, sample(t))) {
		t.Error("two runs differ")
	}
}

func TestReadsJoinedArchives(t *testing.T) {
	second := fstree.New()
	if err := second.Put(fstree.Node{Path: "tmp", Kind: fstree.File, Blob: fstree.BytesBlob([]byte("x"))}); err != nil {
		t.Fatal(err)
	}
	got, err := Read(bytes.NewReader(append(archive(t, sample(t)), archive(t, second)...)))
	if err != nil {
		t.Fatal(err)
	}
	if got.Get("tmp").Kind != fstree.File || got.Get("init") == nil {
		t.Error("the second archive did not come on top of the first")
	}
}

func TestWritePadded(t *testing.T) {
	for _, align := range []int{4, 4096} {
		var buf bytes.Buffer
		if err := WritePadded(&buf, sample(t), align); err != nil || buf.Len()%align != 0 {
			t.Errorf("align %d: %d bytes, %v", align, buf.Len(), err)
		}
	}
	if err := WritePadded(&bytes.Buffer{}, fstree.New(), 6); err == nil {
		t.Error("alignment 6 was accepted")
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestErrors(t *testing.T) {
	tagged := fstree.New()
	if err := tagged.Put(fstree.Node{Path: "x", Kind: fstree.File, Xattrs: map[string][]byte{"user.a": nil}}); err != nil {
		t.Fatal(err)
	}
	if err := Write(&bytes.Buffer{}, tagged); err == nil || !strings.Contains(err.Error(), "x: cpio cannot hold") {
		t.Error(err)
	}
	if err := Write(fullDisk{}, sample(t)); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Error(err)
	}
	good := archive(t, sample(t))
	for name, data := range map[string][]byte{"cut": good[:300], "no trailer": good[:500], "compressed tail": append(bytes.Clone(good), 0x28, 0xb5, 0x2f, 0xfd)} {
		if _, err := Read(bytes.NewReader(data)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if tr, err := Read(strings.NewReader("")); err != nil || tr.Len() != 1 {
		t.Error("an empty stream is an empty tree", err)
	}
}

func TestCpioLists(t *testing.T) {
	cmd := tooltest.Command(t, "cpio", "-itv", "--numeric-uid-gid")
	cmd.Stdin = bytes.NewReader(archive(t, sample(t)))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"bin -> usr/bin", "5,   1", "drwxrwxrwt", "-rwSr--r--   1 500      500", "Jan  1  1970"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

func TestCpioUnpacksHardLinks(t *testing.T) {
	tr := sample(t)
	tr.Remove("dev")
	dir := t.TempDir()
	cmd := tooltest.Command(t, "cpio", "-id", "--no-preserve-owner")
	cmd.Dir, cmd.Stdin = dir, bytes.NewReader(archive(t, tr))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	a, errA := os.Stat(filepath.Join(dir, "init"))
	b, errB := os.Stat(filepath.Join(dir, "sbin/init"))
	if errA != nil || errB != nil || !os.SameFile(a, b) || a.Size() != 5 {
		t.Errorf("init and sbin/init: %v, %v", errA, errB)
	}
}

func TestReadsWhatCpioWrites(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("content"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"b", "c"} {
		if err := os.Link(filepath.Join(dir, "a"), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	cmd := tooltest.Command(t, "cpio", "-o", "-H", "newc")
	cmd.Dir, cmd.Stdin = dir, strings.NewReader("./c\n./a\n./b\n")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	tr, err := Read(bytes.NewReader(out))
	if err != nil {
		t.Fatal(err)
	}
	for name, link := range map[string]string{"a": "", "b": "a", "c": "a"} {
		if n := tr.Get(name); n == nil || n.Blob.Size != 7 || n.LinkTo != link {
			t.Errorf("%s: %+v", name, n)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(archive(f, sample(f)))
	f.Fuzz(func(t *testing.T, data []byte) {
		tr, err := Read(bytes.NewReader(data))
		if err != nil {
			return
		}
		again, err := Read(bytes.NewReader(archive(t, tr)))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(nodes(tr), nodes(again), ignoreSource); diff != "" {
			t.Error(diff)
		}
	})
}
