package main

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/bootargs"
	"wellcar.dev/internal/format/fat"
	"wellcar.dev/internal/format/fstree"
	"wellcar.dev/internal/format/gpt"
	"wellcar.dev/internal/image"
	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/lock"
	"wellcar.dev/internal/provision/platform"
)

// TestPlatformsAreThoseOfProvisioning: an image can be for every platform that
// a machine finds its config on, and for no other.
func TestPlatformsAreThoseOfProvisioning(t *testing.T) {
	var ids []string
	for _, p := range layout.Platforms() {
		ids = append(ids, p.ID)
	}
	want := slices.DeleteFunc(platform.IDs(), func(id string) bool { return id == "file" }) // which is for tests of configs
	if d := cmp.Diff(want, ids); d != "" {
		t.Error(d)
	}
}

func TestBuildPlatformFlag(t *testing.T) {
	code, out, errs := try(t.Context(), joins{}, "", "build", "--recipe", "../../image", "--platform", "moon", "--out", t.TempDir())
	if code != exitUsage || out != "" || strings.Count(errs, "\n") != 1 ||
		!strings.Contains(errs, `--platform: there is no platform "moon"; known are akamai, aliyun, ami, `) || !strings.Contains(errs, " openstack, ") {
		t.Errorf("status %d, out %q, errors %q", code, out, errs)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "recipe.yaml"), []byte("name: a\nversion: 1.2.3\nplatform: hetzner\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for flag, want := range map[string]string{"": "hetzner", "ec2": "ec2"} {
		r, err := (&workshop{recipeDir: dir, platform: flag}).recipe()
		if p, known := r.For(); err != nil || known != nil || p.Word != want {
			t.Errorf("--platform %q: %+v, %v, %v", flag, p, err, known)
		}
	}
}

// TestPlatformMakesAnImageOld: the machines and tests of this host do not take
// an image that was built for somewhere else.
func TestPlatformMakesAnImageOld(t *testing.T) {
	dir := t.TempDir()
	w := &workshop{out: dir, programs: dir}
	locked, err := lock.Marshal(lock.Lock{})
	if err != nil {
		t.Fatal(err)
	}
	record, err := json.Marshal(image.Record{Platform: "aws", Inputs: image.Inputs{
		Lock: digest(locked), Recipe: digest(image.Recipe{}.Archive()), Init: digest([]byte("i")), Wellcard: digest([]byte("w")),
	}})
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]string{"wellcar-init": "i", "wellcard": "w", image.DiskFile: "", image.BuildFile: string(record)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for platform, want := range map[string]bool{"": false, "gcp": false, "aws": true, "ec2": true} {
		fresh, err := w.upToDate(image.Input{Recipe: image.Recipe{Platform: platform}})
		if err != nil || fresh != want {
			t.Errorf("for %q: %v, %v", platform, fresh, err)
		}
	}
}

// diskWith makes a disk that has only an EFI system partition, with an add-on
// of these words.
func diskWith(t *testing.T, words string) string {
	t.Helper()
	stub := make([]byte, 512) // the smallest PE32+ image that a section can be added to
	copy(stub, "MZ")
	stub[0x3c] = 0x40
	copy(stub[0x40:], "PE\x00\x00\x64\x86")
	stub[0x54], stub[0x58], stub[0x59], stub[0x79], stub[0x7d], stub[0x95] = 112, 0x0b, 0x02, 0x10, 0x02, 0x02
	tree := fstree.New()
	if words != "" {
		addOn, err := bootargs.Make(stub, words)
		if err != nil {
			t.Fatal(err)
		}
		if err := tree.Put(fstree.Node{Path: layout.KernelAddOn, Kind: fstree.File, Mode: 0o644, Blob: fstree.BytesBlob(addOn)}); err != nil {
			t.Fatal(err)
		}
	}
	const first, sectors = 2048, 40 << 20 / 512
	f, err := os.Create(filepath.Join(t.TempDir(), "disk"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	typ, err := gpt.ParseGUID(layout.TypeESP)
	if err != nil {
		t.Fatal(err)
	}
	table := gpt.Table{DiskGUID: gpt.GUID{1}, SectorSize: 512, Sectors: sectors + 2*first, Partitions: []gpt.Partition{
		{Number: layout.ESP, Name: "EFI-SYSTEM", Type: typ, GUID: gpt.GUID{2}, First: first, Last: first + sectors - 1}}}
	if err := f.Truncate(int64(table.Sectors) * 512); err != nil {
		t.Fatal(err)
	}
	if err := table.Write(f); err != nil {
		t.Fatal(err)
	}
	if err := fat.Write(io.NewOffsetWriter(f, first*512), sectors*512, fat.Options{Label: "EFI-SYSTEM"}, tree); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}

func TestPlatformOfAMachine(t *testing.T) {
	for _, c := range []struct{ words, cloud, want string }{
		{"", "", ""},
		{"", "hetzner", "flatcar.oem.id=hetzner"},
		{"flatcar.oem.id=ec2 net.ifnames=0", "", "flatcar.oem.id=qemu"},
		{"flatcar.oem.id=ec2", "aws", ""},
		{"flatcar.oem.id=openstack", "openstack", ""},
		{"flatcar.oem.id=openstack", "hetzner", "flatcar.oem.id=hetzner"},
		{"flatcar.oem.id=qemu", "", ""},
		{"quiet", "", ""},
	} {
		if got := strings.Join(platformWords(diskWith(t, c.words), c.cloud), " "); got != c.want {
			t.Errorf("an image with %q in the cloud %q is started with %q, want %q", c.words, c.cloud, got, c.want)
		}
	}
	if got := imagePlatform(os.DevNull); got != "" {
		t.Errorf("no disk is for %q", got)
	}
}
