package erofs

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/format/fstree"
	"wellcar.dev/internal/sys/hermetic/tooltest"
)

// TestAgainstFsck lets the reference tool check an image and extract it.
// Devices are left out, since only root may make them; owners and xattrs are
// not compared for the same reason.
func TestAgainstFsck(t *testing.T) {
	tree := sampleTree(t)
	for _, name := range []string{"null", "null2", "disk"} {
		tree.Remove(name)
	}
	for i := range 1000 {
		if err := tree.Put(file("large-dir/"+string(bytes.Repeat([]byte{byte('a' + i%26)}, 1+i/26)), noise(i*3, 1))); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	image := filepath.Join(dir, "image")
	if err := os.WriteFile(image, imageOf(t, tree, testOptions), 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "out")
	if msg, err := tooltest.Command(t, "fsck.erofs", "--no-preserve-owner", "--preserve-perms", "--extract="+out, image).CombinedOutput(); err != nil {
		t.Fatalf("fsck.erofs: %v\n%s", err, msg)
	}
	want, got := views(t, tree), extracted(t, out)
	for _, side := range []map[string]view{want, got} {
		for name, v := range side {
			side[name] = view{Kind: v.Kind, Mode: v.Mode, Target: v.Target, Size: v.Size, Sum: v.Sum}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("extracted tree differs (-want +got):\n%.3000s", diff)
	}
}

// extracted reads a directory on disk as far as TestAgainstFsck compares it.
func extracted(t *testing.T, dir string) map[string]view {
	tree := fstree.New()
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, name)
		n := fstree.Node{Path: rel, Kind: fstree.File, Mode: unixMode(info.Mode())}
		switch info.Mode().Type() {
		case fs.ModeDir:
			n.Kind = fstree.Dir
		case fs.ModeNamedPipe:
			n.Kind = fstree.Fifo
		case fs.ModeSymlink:
			n.Kind = fstree.Symlink
			if n.Target, err = os.Readlink(name); err != nil {
				return err
			}
		case 0:
			content, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			n.Blob = fstree.BytesBlob(content)
		}
		return tree.Put(n)
	})
	if err != nil {
		t.Fatal(err)
	}
	return views(t, tree)
}

func unixMode(m fs.FileMode) uint32 {
	mode := uint32(m.Perm())
	for bit, unix := range map[fs.FileMode]uint32{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
		if m&bit != 0 {
			mode |= unix
		}
	}
	return mode
}
