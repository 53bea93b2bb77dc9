package image

import (
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/format/fstree"
	"wellcar.dev/internal/image/modules"
	"wellcar.dev/internal/lock"
)

func TestBuild(t *testing.T) {
	in := testInput(t, testRecipe(t, nil), testPackages())
	result, err := Build(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	got := paths(result.Contents)
	for name, want := range map[string]string{ // type, mode, gid, origin
		"bin/bash":                                  "f 0755 0 base_1_amd64",
		"bin/sh":                                    "l 0777 0 recipe.yaml",
		"bin/run":                                   "f 0755 0 overlay/usr/bin/run",
		"bin/wellcard":                              "f 0755 0 wellcard",
		"share/flatcar/etc/profile":                 "f 0644 0 base_1_amd64",
		"share/flatcar/etc/private":                 "f 0640 0 overlay/etc/private",
		"share/flatcar/etc/secret":                  "f 0600 42 overlay/etc/secret",
		"share/flatcar/etc/shadow":                  "f 0640 42 users.yaml",
		"share/baselayout/passwd":                   "f 0644 0 users.yaml",
		"share/empty":                               "d 0750 0 nodes.yaml",
		"share/doc/base/copyright":                  "f 0644 0 base_1_amd64",
		"lib/os-release":                            "f 0644 0 build",
		"share/flatcar/etc/ld.so.cache":             "f 0644 0 build",
		"lib/udev/hwdb.bin":                         "f 0644 0 build",
		"lib/tmpfiles.d/wellcar-state.conf":         "f 0644 0 build",
		"lib/modules/6.1.0-test/modules.dep":        "f 0644 0 build",
		"lib/modules/6.1.0-test/config":             "f 0644 0 linux-image-6_1_amd64",
		"lib/modules/6.1.0-test/kernel/fs/erofs.ko": "f 0644 0 linux-image-6_1_amd64",
		"share/flatcar/etc/systemd/system/multi-user.target.wants/a.service": "l 0777 0 build",
	} {
		c, ok := got[name]
		if !ok {
			t.Errorf("%s is missing", name)
			continue
		}
		if text := strings.Join([]string{string(c.Type), octal(c.Mode), number(c.GID), c.Origin}, " "); text != want {
			t.Errorf("%s: %s, want %s", name, text, want)
		}
	}
	for _, name := range []string{"share/doc/base/README", "lib/systemd/boot/efi/linuxx64.efi.stub", "lib/modules/6.1.0-test/kernel/sound/snd.ko", "lib/modules/6.1.0-test/kernel/sound"} {
		if _, ok := got[name]; ok {
			t.Errorf("%s is there", name)
		}
	}
	want := []string{BuildFile, ContentsFile, ConfigFile, LockFile, RecipeFile, DiskFile, UKIFile}
	if d := cmp.Diff(sortedStrings(want), names(in.Out)); d != "" {
		t.Errorf("results: %s", d)
	}
	uki, err := os.ReadFile(result.UKI)
	if err != nil || !strings.HasPrefix(string(uki), "STUB|KERNEL|quiet verity.usrhash="+result.Record.RootHash+"|6.1.0-test|") {
		t.Errorf("UKI: %q, %v", uki, err)
	}
}

// TestBuildTwice builds in other folders, with another umask-made file mode
// in the recipe and with other numbers of workers: every file must be equal.
func TestBuildTwice(t *testing.T) {
	first := testInput(t, testRecipe(t, nil), testPackages())
	dir := testRecipe(t, nil)
	for name, mode := range map[string]os.FileMode{"overlay/etc/secret": 0o666, "overlay/etc/private": 0o600, "overlay/usr/bin/run": 0o777} {
		if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	second := testInput(t, dir, testPackages())
	second.Parallel = 7
	for _, in := range []Input{first, second} {
		if _, err := Build(context.Background(), in); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range names(first.Out) {
		same, err := sameContent(context.Background(), filepath.Join(first.Out, name), filepath.Join(second.Out, name))
		if err != nil || !same {
			t.Errorf("%s differs (%v)", name, err)
		}
	}
	a, errA := ReadState(first.Out)
	b, errB := ReadState(second.Out)
	if changes := Diff(a, b); len(changes) != 0 || errA != nil || errB != nil {
		t.Error(changes, errA, errB)
	}
}

// TestChangedCode builds again with the same caches: equal code makes nothing
// anew, other code makes everything derived anew but unpacks nothing, and no
// result tells them apart.
func TestChangedCode(t *testing.T) {
	in := testInput(t, testRecipe(t, nil), testPackages())
	in.Parallel, in.Code = 1, []byte("one")
	var made []string
	note := func(what string) {
		if !slices.Contains(made, what) {
			made = append(made, what)
		}
	}
	f, tools := in.Formats, in.Tools
	in.Formats.Extract = func(pkg io.ReaderAt, size int64, data io.Writer, keep func(string) bool) ([]fstree.Node, error) {
		note("package")
		return f.Extract(pkg, size, data, keep)
	}
	in.Formats.Modules = func(files []ModuleFile, order, builtin, modinfo []byte) ([]modules.Info, map[string][]byte, error) {
		note("modules")
		return f.Modules(files, order, builtin, modinfo)
	}
	in.Formats.LoaderCache = func(tree *fstree.Tree, dirs []string) ([]byte, error) {
		note("loader")
		return f.LoaderCache(tree, dirs)
	}
	var mu sync.Mutex // the last two run side by side
	in.Formats.Cpio = func(w io.Writer, tree *fstree.Tree) error {
		mu.Lock()
		defer mu.Unlock()
		note("initrd")
		return f.Cpio(w, tree)
	}
	in.Tools = func(ctx context.Context, env []string, name string, args ...string) ([]byte, error) {
		mu.Lock()
		defer mu.Unlock()
		note("oem")
		return tools(ctx, env, name, args...)
	}
	derived := []string{"initrd", "loader", "modules", "oem"}
	all := append(slices.Clone(derived), "package")
	first := in.Out
	for _, c := range []struct {
		code string
		want []string
	}{{"one", all}, {"one", nil}, {"two", derived}, {"one", nil}} {
		made, in.Code = nil, []byte(c.code)
		if _, err := Build(context.Background(), in); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(c.want, sortedStrings(made)); d != "" {
			t.Errorf("code %s: %s", c.code, d)
		}
		for _, name := range names(first) {
			if same, err := sameContent(context.Background(), filepath.Join(first, name), filepath.Join(in.Out, name)); err != nil || !same {
				t.Errorf("code %s: %s differs (%v)", c.code, name, err)
			}
		}
		in.Out = filepath.Join(t.TempDir(), "out")
	}
}

// TestOEMFollowsTheTools makes the OEM file system anew for other tools.
func TestOEMFollowsTheTools(t *testing.T) {
	in := testInput(t, testRecipe(t, nil), testPackages())
	runs := 0
	in.Tools = func(ctx context.Context, env []string, name string, args ...string) ([]byte, error) {
		if name == "mke2fs" {
			runs++
		}
		return fakeTools(ctx, env, name, args...)
	}
	for i, sum := range []string{"aa", "aa", "bb"} {
		again := in
		again.Lock.Packages = append(slices.Clone(in.Lock.Packages), lock.Package{Name: "e2fsprogs", SHA256: sum, Groups: []string{"tools"}})
		if _, err := Build(context.Background(), again); err != nil {
			t.Fatal(err)
		}
		if want := 1 + i/2; runs != want {
			t.Errorf("after build %d mke2fs ran %d times, want %d", i+1, runs, want)
		}
	}
}

func TestVerify(t *testing.T) {
	in := testInput(t, testRecipe(t, nil), testPackages())
	if _, err := Build(context.Background(), in); err != nil {
		t.Fatal(err)
	}
	rebuild := func(ctx context.Context, r Recipe, l lock.Lock, out string) (Result, error) {
		again := in
		again.Recipe, again.Lock, again.Out = r, l, out
		return Build(ctx, again)
	}
	differ, err := Verify(context.Background(), in.Out, t.TempDir(), rebuild)
	if err != nil || len(differ) != 0 {
		t.Fatalf("differ %v, %v", differ, err)
	}
	disk, err := os.OpenFile(filepath.Join(in.Out, DiskFile), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := disk.WriteAt([]byte{1}, 5<<30); err != nil {
		t.Fatal(err)
	}
	disk.Close()
	differ, err = Verify(context.Background(), in.Out, t.TempDir(), rebuild)
	if d := cmp.Diff([]string{DiskFile}, differ); d != "" || err != nil {
		t.Errorf("%s, %v", d, err)
	}
	if err := os.WriteFile(filepath.Join(in.Out, LockFile), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(context.Background(), in.Out, t.TempDir(), rebuild); err == nil || !strings.Contains(err.Error(), "lock.json is not the one that build.json names") {
		t.Error(err)
	}
}

func TestDiffNamesWhatChanged(t *testing.T) {
	first := testInput(t, testRecipe(t, nil), testPackages())
	packages := testPackages()
	packages["base"]["usr/lib/systemd/system/a.service"] += "# more\n"
	packages["base"]["usr/share/new"] = "n"
	packages["linux-image-6"]["boot/config-"+testKernel] = "CONFIG_A=m\n"
	packages["extra"] = entries{"usr/share/extra": "e"}
	second := testInput(t, testRecipe(t, nil), packages)
	for _, in := range []Input{first, second} {
		if _, err := Build(context.Background(), in); err != nil {
			t.Fatal(err)
		}
	}
	a, errA := ReadState(first.Out)
	b, errB := ReadState(second.Out)
	if err := errors.Join(errA, errB); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range Diff(a, b) {
		kind := strings.Join(strings.SplitN(c.String(), " ", 4)[:3], " ")
		got = append(got, kind)
	}
	want := []string{"+ package extra:amd64", "~ option CONFIG_A", "- option CONFIG_B", "~ unit lib/systemd/system/a.service",
		"~ file lib/modules/KERNEL/config", "+ file share/extra", "+ file share/new"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestBuildRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(p map[string]entries)
		recipe string // more lines of recipe.yaml
		want   []string
	}{
		"collisions, all of them": {change: func(p map[string]entries) {
			p["other"] = entries{"etc/profile": "q", "usr/lib/udev/hwdb.d/20-a.hwdb": "b"}
		}, want: []string{"etc/profile: base_1_amd64 (file) and other_1_amd64 (file) both bring it", "hwdb.d/20-a.hwdb: base_1_amd64"}},
		"faults of the tree": {change: func(p map[string]entries) {
			p["other"] = entries{"s+usr/bin/su": "", "usr/lib/l": "-> none", "+usr/bin/script": "#!/usr/bin/perl\n"}
		}, want: []string{"checking the tree: 3 faults", "usr/bin/su (other_1_amd64): has mode 4755", "usr/lib/l (other_1_amd64): is a link to none", "is run by /usr/bin/perl"}},
		"no kernel":        {change: func(p map[string]entries) { delete(p, "linux-image-6") }, want: []string{"no package that matches", "brings a kernel"}},
		"no stub":          {change: func(p map[string]entries) { delete(p["systemd-boot-efi"], stubPath) }, want: []string{"no package brings " + stubPath}},
		"module chain":     {change: func(p map[string]entries) { delete(p["linux-image-6"], modulesDir+testKernel+"/kernel/lib/libcrc.ko") }, want: []string{"libcrc"}},
		"budget":           {recipe: "budget: {usr: 9000, initrd: 3, uki: 4}\n", want: []string{"/usr image with its verity tree has 12288 bytes, 3288 more", "initrd has", "unified kernel image has"}},
		"file budget":      {recipe: "budget: {file: 3}\n", want: []string{"usr/bin/bash (base_1_amd64): has 4 bytes, more than the 3"}},
		"overlay on a dir": {change: func(p map[string]entries) { p["base"]["etc/secret/x"] = "" }, want: []string{"etc/secret from overlay/etc/secret", "holds usr/share/flatcar/etc/secret/x"}},
	} {
		t.Run(name, func(t *testing.T) {
			packages := testPackages()
			if c.change != nil {
				c.change(packages)
			}
			base, err := os.ReadFile(filepath.Join(testRecipe(t, nil), "recipe.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			in := testInput(t, testRecipe(t, map[string]string{"recipe.yaml": string(base) + c.recipe}), packages)
			_, err = Build(context.Background(), in)
			if err == nil {
				t.Fatal("it was built")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is missing in: %v", want, err)
				}
			}
			if left := names(in.Out); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestCancelledBuildKeepsTheOldOne(t *testing.T) {
	in := testInput(t, testRecipe(t, nil), testPackages())
	if _, err := Build(context.Background(), in); err != nil {
		t.Fatal(err)
	}
	before := names(in.Out)
	ctx, cancel := context.WithCancel(context.Background())
	in.Formats.Cpio = nil // the initrd is kept: not called
	usr := in.Formats.Usr
	in.Formats.Usr = func(f Disk, base int64, tree *fstree.Tree, o UsrOptions) (Usr, error) {
		cancel()
		return usr(f, base, tree, o)
	}
	if _, err := Build(ctx, in); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if d := cmp.Diff(before, names(in.Out)); d != "" {
		t.Error(d)
	}
	if _, err := ReadRecord(in.Out); err != nil {
		t.Error(err)
	}
}

func TestRecipeFaultsHaveLines(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  []string
	}{
		"unknown key":  {map[string]string{"recipe.yaml": "name: a\nversion: 1.2.3\nfoo: 1\n"}, []string{"recipe.yaml:3: key foo is not known here"}},
		"repeated key": {map[string]string{"recipe.yaml": "name: a\nname: b\n"}, []string{"recipe.yaml:2:"}},
		"zero":         {map[string]string{"recipe.yaml": "name: a\nversion: 1.02.3\n"}, []string{`recipe.yaml:2: version "1.02.3" is not MAJOR.MINOR.PATCH in numbers without leading zeros`}},
		"values": {map[string]string{"recipe.yaml": "name: a\nversion: 1\npackages: [b,\n b]\nremove:\n- ok\n- \"[\"\ndrop: [b]\n"},
			[]string{`recipe.yaml:2: version "1"`, "recipe.yaml:4: package b is listed twice", "recipe.yaml:7: reading the pattern", "recipe.yaml:3: package b is also listed under drop"}},
		"users": {map[string]string{"users.yaml": "groups:\n- {name: root, gid: 0}\nusers:\n- {name: a, uid: 1, gid: 7}\n"}, []string{"users.yaml:4: user \"a\": no group of the list has its gid 7"}},
		"nodes": {map[string]string{"nodes.yaml": "- {path: a, type: pipe}\n- {path: /b, type: dir}\n"}, []string{"nodes.yaml:1: type \"pipe\"", "nodes.yaml:2: path \"/b\""}},
		"modes": {map[string]string{"overlay.yaml": "modes:\n  etc/none: 0600\n"}, []string{"overlay.yaml:2: overlay/etc/none does not exist"}},
		"octal": {map[string]string{"nodes.yaml": "- {path: a, type: dir, mode: 9}\n"}, []string{"nodes.yaml:1: mode \"9\" is not octal"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := LoadRecipe(os.DirFS(testRecipe(t, c.files)))
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%q is missing in: %v", want, err)
				}
			}
		})
	}
}

func TestRecipeArchiveRoundTrip(t *testing.T) {
	a, err := LoadRecipe(os.DirFS(testRecipe(t, nil)))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := UnpackRecipe(strings.NewReader(string(a.Archive())), dir); err != nil {
		t.Fatal(err)
	}
	b, err := LoadRecipe(os.DirFS(dir))
	if err != nil || a.Digest() != b.Digest() {
		t.Errorf("%x and %x, %v", a.Digest(), b.Digest(), err)
	}
	if !maps.Equal(a.Alternatives, b.Alternatives) {
		t.Error("alternatives differ")
	}
}

func TestContainerTree(t *testing.T) {
	in := testInput(t, testRecipe(t, nil), testPackages())
	for i := range in.Lock.Packages {
		in.Lock.Packages[i].Groups = []string{"container-web"}
	}
	tree, done, err := ContainerTree(context.Background(), in, "web")
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	for _, name := range []string{"etc/profile", "bin/bash", "var/lib/base", "opt/x"} {
		if tree.Resolve(name) == nil {
			t.Errorf("%s is missing", name)
		}
	}
	if tree.Get("usr/share/doc/base/README") != nil {
		t.Error("the documentation is there")
	}
	if _, _, err := ContainerTree(context.Background(), in, "db"); err == nil {
		t.Error("an unknown container was made")
	}
}
