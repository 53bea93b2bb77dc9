// Package build_test builds the image with the real recipe, packages and
// tools: the bytes must not depend on who builds where and when, other
// programs must accept them, and wellcar verify must see a change.
//
// The tests need the programs in bin/, the tool set in WELLCAR_TOOLS, and the
// image's packages in the cache or the network.
package build_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/image"
	"wellcar.dev/internal/sys/hermetic/tooltest"
	"wellcar.dev/test/disk"
)

const root = "../.."

// TestBuilds shares its two builds, each of a gigabyte, among its parts.
func TestBuilds(t *testing.T) {
	tooltest.Set(t)
	for _, name := range []string{"wellcar", "wellcar-init", "wellcard"} {
		if _, err := os.Stat(filepath.Join(root, "bin", name)); err != nil {
			t.Fatalf("%v; make it with make build", err)
		}
	}
	dir := workFolder(t)
	here, there := filepath.Join(dir, "here"), filepath.Join(dir, "there")
	run(t, plainBuild(t, here))
	t.Run("Reference", func(t *testing.T) { reference(t, here) })
	want := sums(t, here)
	if err := os.RemoveAll(here); err != nil { // room for the next
		t.Fatal(err)
	}
	w := newElsewhere(t, dir)
	run(t, w.command(t, "build", "--out", there, "--lock", "require"))
	t.Run("Equal", func(t *testing.T) {
		if diff := cmp.Diff(want, sums(t, there)); diff != "" {
			t.Errorf("the builds differ (-here +there):\n%s", diff)
		}
	})
	t.Run("Verify", func(t *testing.T) { verify(t, w, there) })
}

// verify tampers with a build that another user made, and lets that user ask.
func verify(t *testing.T, w elsewhere, dir string) {
	record, err := image.ReadRecord(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := disk.Flip(filepath.Join(dir, image.DiskFile), record.Usr.Offset+record.Usr.DataSize/2); err != nil {
		t.Fatal(err)
	}
	out, err := w.command(t, "verify", filepath.Join(dir, image.DiskFile)).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 3 {
		t.Errorf("wellcar verify of a tampered image: %v, want exit status 3\n%s", err, out)
	}
	if want := []byte(dir + " differs from its rebuild in " + image.DiskFile + "\n"); !bytes.Contains(out, want) {
		t.Errorf("wellcar verify of a tampered image said\n%swant %s", out, want)
	}
}

// plainBuild builds as `wellcar build` does for a developer.
func plainBuild(t *testing.T, out string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), "bin/wellcar", "build", "--out", out)
	cmd.Dir = root
	return cmd
}

// workFolder is a folder that every user can reach, removed at the end.
// t.TempDir is for one user alone.
func workFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "wellcar-build-")
	if err == nil {
		err = os.Chmod(dir, 0o777)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func run(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	began := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
	t.Logf("%s %s: %s", filepath.Base(cmd.Path), cmd.Args[1], time.Since(began).Round(time.Second))
}

// sums are the digests of all files of a folder.
func sums(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		h := sha256.New()
		if filepath.Base(name) == image.DiskFile {
			err = disk.Sum(h, f)
		} else {
			_, err = io.Copy(h, f)
		}
		all[d.Name()] = hex.EncodeToString(h.Sum(nil))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 7 {
		t.Fatalf("%s has only %v", dir, all)
	}
	return all
}
