package image

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/lock"
)

// buildFor builds an image for a platform into a folder of its own.
func buildFor(t *testing.T, in Input, platform string) Result {
	t.Helper()
	in.Recipe.Platform, in.Out = platform, filepath.Join(t.TempDir(), "out")
	r, err := Build(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// textOf is the beginning of a partition, which the fakes write as text.
func textOf(t *testing.T, disk string, number int) string {
	t.Helper()
	f, err := os.Open(disk)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.NewSectionReader(f, partition(number).offset, 8192))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimRight(string(data), "\x00")
}

func TestImageKnowsItsPlatform(t *testing.T) {
	in := testInput(t, testRecipe(t, nil), testPackages())
	plain := buildFor(t, in, "")
	if oem := textOf(t, plain.Disk, layout.OEM); !strings.Contains(oem, "[oem-release]\nID=\"\"\n") || strings.Contains(oem, "oem_id") {
		t.Errorf("for none:\n%s", oem)
	}
	if esp := textOf(t, plain.Disk, layout.ESP); strings.Contains(esp, "addon") {
		t.Errorf("for none the EFI system partition has\n%s", esp)
	}
	for name, c := range map[string]struct{ id, release, grub, words string }{
		"openstack": {"openstack", "ID=openstack\nNAME=\"OpenStack\"\n", "set oem_id=\"openstack\"\n", "ADDON|flatcar.oem.id=openstack"},
		"gcp":       {"gcp", "ID=gce\nNAME=\"Google Compute Engine\"\n", "set oem_id=\"gce\"\n", "ADDON|flatcar.oem.id=gce"},
		"ec2": {"aws", "ID=ami\nNAME=\"Amazon EC2\"\n", "set oem_id=\"ec2\"\n",
			"ADDON|flatcar.oem.id=ec2 modprobe.blacklist=xen_fbfront net.ifnames=0 nvme_core.io_timeout=4294967295"},
	} {
		r := buildFor(t, in, name)
		oem := textOf(t, r.Disk, layout.OEM)
		for _, want := range []string{"[oem-release]\n" + c.release, c.grub, "# set linux_append="} {
			if !strings.Contains(oem, want) {
				t.Errorf("%s: %q is missing in\n%s", name, want, oem)
			}
		}
		want := fmt.Sprintf("%d %x", len(c.words), sha256.Sum256([]byte(c.words))) + " " + layout.KernelAddOn
		if esp := textOf(t, r.Disk, layout.ESP); !strings.Contains(esp, want) {
			t.Errorf("%s: no %q in\n%s", name, want, esp)
		}
		if r.Record.Platform != c.id || r.Record.RootHash != plain.Record.RootHash || r.Record.UKI != plain.Record.UKI || r.Record.Initrd != plain.Record.Initrd {
			t.Errorf("%s: other than the platform, changed in\n%s", name, cmp.Diff(plain.Record, r.Record))
		}
	}
}

// TestPlatformMakesOnlyTheOEMAnew builds twice for a platform: only the first
// makes something, a file system of two files, and both come out the same.
func TestPlatformMakesOnlyTheOEMAnew(t *testing.T) {
	in := testInput(t, testRecipe(t, nil), testPackages())
	buildFor(t, in, "")
	in.Formats.Extract, in.Formats.Modules, in.Formats.LoaderCache, in.Formats.Cpio = nil, nil, nil, nil // these are not called
	runs := 0
	in.Tools = func(ctx context.Context, env []string, name string, args ...string) ([]byte, error) {
		runs++
		return fakeTools(ctx, env, name, args...)
	}
	first := buildFor(t, in, "openstack")
	second := buildFor(t, in, "openstack")
	if runs != 2 {
		t.Errorf("%d programs were run", runs)
	}
	for _, name := range names(filepath.Dir(first.Disk)) {
		same, err := sameContent(context.Background(), filepath.Join(filepath.Dir(first.Disk), name), filepath.Join(filepath.Dir(second.Disk), name))
		if err != nil || !same {
			t.Errorf("%s differs (%v)", name, err)
		}
	}
}

func TestPlatformOfTheRecipe(t *testing.T) {
	with := func(line string) map[string]string {
		return map[string]string{"recipe.yaml": "name: a\nversion: 1.2.3\n" + line}
	}
	r, err := LoadRecipe(os.DirFS(testRecipe(t, with("platform: hetzner\n"))))
	if p, known := r.For(); err != nil || known != nil || p.Word != "hetzner" {
		t.Errorf("%+v, %v, %v", p, known, err)
	}
	_, err = LoadRecipe(os.DirFS(testRecipe(t, with("platform: moon\n"))))
	if err == nil || !strings.Contains(err.Error(), `recipe.yaml:3: there is no platform "moon"; known are akamai, `) {
		t.Error(err)
	}
	in := testInput(t, testRecipe(t, nil), testPackages())
	in.Recipe.Platform = "moon"
	if _, err := Build(context.Background(), in); err == nil || !strings.Contains(err.Error(), `there is no platform "moon"`) {
		t.Error(err)
	}
	packages := testPackages()
	delete(packages["systemd-boot-efi"], "usr/"+layout.AddOnStub)
	in = testInput(t, testRecipe(t, nil), packages)
	in.Recipe.Platform = "vmware"
	if _, err := Build(context.Background(), in); err == nil || !strings.Contains(err.Error(), "no package brings usr/"+layout.AddOnStub) {
		t.Error(err)
	}
}

// TestVerifyKnowsWhatWasTold: version and platform that the recipe does not
// have are in the record.
func TestVerifyKnowsWhatWasTold(t *testing.T) {
	in := testInput(t, testRecipe(t, nil), testPackages())
	in.Recipe.Version, in.Recipe.Platform = "4.5.6", "gce"
	if _, err := Build(context.Background(), in); err != nil {
		t.Fatal(err)
	}
	rebuild := func(ctx context.Context, r Recipe, l lock.Lock, out string) (Result, error) {
		again := in
		again.Recipe, again.Lock, again.Out = r, l, out
		return Build(ctx, again)
	}
	if differ, err := Verify(context.Background(), in.Out, t.TempDir(), rebuild); err != nil || len(differ) > 0 {
		t.Errorf("%v, %v", differ, err)
	}
	name := filepath.Join(in.Out, BuildFile)
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	forge := func(old, now string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(strings.Replace(string(text), old, now, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	forge(`"platform": "gcp"`, `"platform": "hetzner"`)
	if differ, err := Verify(context.Background(), in.Out, t.TempDir(), rebuild); err != nil || !slices.Contains(differ, DiskFile) {
		t.Errorf("another platform: %v, %v", differ, err)
	}
	forge(`"version": "4.5.6"`, `"version": "../4.5.6"`)
	if _, err := Verify(context.Background(), in.Out, t.TempDir(), rebuild); err == nil || !strings.Contains(err.Error(), "is not MAJOR.MINOR.PATCH") {
		t.Errorf("no version: %v", err)
	}
}

func TestDiffNamesThePlatform(t *testing.T) {
	in := testInput(t, testRecipe(t, nil), testPackages())
	a, errA := ReadState(filepath.Dir(buildFor(t, in, "").Disk))
	b, errB := ReadState(filepath.Dir(buildFor(t, in, "openstack").Disk))
	changes := Diff(a, b)
	if len(changes) != 1 || changes[0].String() != "+ setting platform openstack" || errA != nil || errB != nil {
		t.Error(changes, errA, errB)
	}
}
