package unpacked

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/format/fstree"
)

// fakePackage is a reader that stands for a .deb in these tests.
type fakePackage struct{ *bytes.Reader }

func (fakePackage) Close() error { return nil }

func fakeExtract(_ io.ReaderAt, _ int64, data io.Writer, keep func(string) bool) ([]fstree.Node, error) {
	script := []byte("#!/bin/sh -e x\n:\n")
	if _, err := data.Write(script); err != nil {
		return nil, err
	}
	nodes := []fstree.Node{
		{Path: "usr/bin/a", Kind: fstree.File, Mode: 0o4755, UID: 1, GID: 2, Blob: fstree.Blob{Size: int64(len(script)), SHA256: sha256.Sum256(script)}, Xattrs: map[string][]byte{"user.x": []byte("y")}},
		{Path: "usr/bin/b", Kind: fstree.Symlink, Mode: 0o777, Target: "a"},
		{Path: "usr/share/x", Kind: fstree.Dir, Mode: 0o700},
	}
	return slicesKeep(nodes, keep), nil
}

func slicesKeep(nodes []fstree.Node, keep func(string) bool) []fstree.Node {
	var out []fstree.Node
	for _, n := range nodes {
		if keep == nil || keep(n.Path) {
			out = append(out, n)
		}
	}
	return out
}

func testJob(key string) Job {
	return Job{ID: "a_1_all", Key: key, Open: func() (Source, error) { return fakePackage{bytes.NewReader(nil)}, nil }}
}

func TestFillAndOpen(t *testing.T) {
	c := Cache{Dir: t.TempDir(), Extract: fakeExtract}
	j := testJob("k")
	if err := c.Fill(context.Background(), []Job{j}, 2, nil); err != nil {
		t.Fatal(err)
	}
	if n := len(c.Missing([]Job{j})); n != 0 {
		t.Fatal("still missing")
	}
	p, err := c.Open(j)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if len(p.Nodes) != 3 || p.Nodes[0].Mode != 0o4755 || string(p.Nodes[0].Xattrs["user.x"]) != "y" || p.Nodes[1].Target != "a" || p.Nodes[0].Origin != "a_1_all" {
		t.Errorf("nodes: %+v", p.Nodes)
	}
	data, err := p.Nodes[0].Blob.Bytes()
	if err != nil || sha256.Sum256(data) != p.Nodes[0].Blob.SHA256 {
		t.Errorf("content %q, %v", data, err)
	}
	if d := cmp.Diff(map[[32]byte]Facts{p.Nodes[0].Blob.SHA256: {Interpreter: "/bin/sh -e"}}, p.Facts); d != "" {
		t.Error(d)
	}
	left, _ := filepath.Glob(filepath.Join(c.Dir, ".new-*"))
	if len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestDamagedEntryCountsAsMissing(t *testing.T) {
	for name, damage := range map[string]func(dir string) error{
		"flipped": func(dir string) error {
			name := filepath.Join(dir, "index")
			data, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			data[len(data)-3] ^= 1
			return os.WriteFile(name, data, 0o600)
		},
		"short data": func(dir string) error { return os.Truncate(filepath.Join(dir, "data"), 3) },
	} {
		c := Cache{Dir: t.TempDir(), Extract: fakeExtract}
		j := testJob("k")
		if err := c.Fill(context.Background(), []Job{j}, 1, nil); err != nil {
			t.Fatal(err)
		}
		if err := damage(filepath.Join(c.Dir, "k")); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Open(j); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
		if len(c.Missing([]Job{j})) != 1 {
			t.Errorf("%s: the entry is still there", name)
		}
	}
}

func TestFailureAndCancelLeaveNothing(t *testing.T) {
	c := Cache{Dir: t.TempDir(), Extract: func(io.ReaderAt, int64, io.Writer, func(string) bool) ([]fstree.Node, error) {
		return nil, errors.New("broken archive")
	}}
	if err := c.Fill(context.Background(), []Job{testJob("k")}, 1, nil); err == nil || err.Error() != "unpacking a_1_all: broken archive" {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	c.Extract = fakeExtract
	if err := c.Fill(ctx, []Job{testJob("k")}, 1, nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if left, _ := os.ReadDir(c.Dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestExamineProgram(t *testing.T) {
	name, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if f := Examine(fstree.BytesBlob(data)); !f.ELF && bytes.HasPrefix(data, []byte("\x7fELF")) {
		t.Errorf("%+v", f)
	}
	if f := Examine(fstree.BytesBlob([]byte("\x7fELF but not really"))); f.ELF {
		t.Errorf("%+v", f)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(encode([]fstree.Node{{Path: "a", Kind: fstree.File}}, map[[32]byte]Facts{{1}: {ELF: true, Needed: []string{"x"}}}))
	f.Fuzz(func(_ *testing.T, data []byte) {
		if len(data) > len(magic)+32 { // reach behind the checksum
			sum := sha256.Sum256(data[len(magic)+32:])
			copy(data[len(magic):], sum[:])
		}
		decode(data)
	})
}
