package provision

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/format/probe"
	"wellcar.dev/internal/sys/rootfs"
)

const mountedTwice = `{"filesystems":[{"device":"/dev/vdb","format":"xfs","path":"/srv/a/b","mountOptions":["noatime","ro"]},
 {"device":"/dev/vdc","format":"ext4","path":"/srv"},{"device":"/dev/vdd","format":"swap","path":"/swap"},
 {"device":"/dev/disk/by-label/OEM","format":"ext4","path":"/usr/share/oem"}]}`

func TestMountsComeShallowFirstAndGoDeepFirst(t *testing.T) {
	dir := t.TempDir()
	root, err := rootfs.Open(dir, rootfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := os.MkdirAll(filepath.Join(dir, "srv"), 0o755); err != nil {
		t.Fatal(err)
	}
	p, problems := planned(t, mountedTwice)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	f := &fakeDisks{t: t, content: map[string]probe.Info{}}
	state := &State{}
	if err := ApplyStages(t.Context(), p, Target{Files: root, Disks: f, State: state, Root: "/sysroot", NoSync: true}, StageMount, StageUmount); err != nil {
		t.Fatal(err)
	}
	want := []string{"mount /dev/vdc /sysroot/srv ext4 []", "mount /dev/disk/by-label/OEM /sysroot/oem ext4 []", "mount /dev/vdb /sysroot/srv/a/b xfs [noatime ro]",
		"umount /sysroot/srv/a/b", "umount /sysroot/oem", "umount /sysroot/srv"}
	if diff := cmp.Diff(want, f.log); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"/oem", "/srv/a", "/srv/a/b"}, state.NotatedDirectories); diff != "" {
		t.Error(diff)
	}
}

func TestMountPointsAreNotReachedThroughLinks(t *testing.T) {
	dir := t.TempDir()
	root, err := rootfs.Open(dir, rootfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := os.Symlink("/elsewhere", filepath.Join(dir, "srv")); err != nil {
		t.Fatal(err)
	}
	p, _ := planned(t, mountedTwice)
	f := &fakeDisks{t: t}
	err = ApplyStages(t.Context(), p, Target{Files: root, Disks: f, NoSync: true}, StageMount)
	if err == nil || !strings.Contains(err.Error(), "c.ign:2:46: cannot mount file system /srv: /srv is a link") || len(f.log) > 0 {
		t.Error(err, f.log)
	}
}
