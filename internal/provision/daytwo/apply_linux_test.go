//go:build linux

package daytwo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/provision"
	"wellcar.dev/internal/sys/rootfs"
)

// host is a machine in a directory. systemctl is played, and so is what starts
// the kernel.
type host struct {
	*testing.T
	dir     string
	t       provision.Target
	kernel  *line
	enabled map[string]string
	active  map[string]bool
	ran     []string
}

// line is the words of a kernel that runs, and of the next.
type line struct {
	running, next string
	refuses       error
}

func (l *line) Words(context.Context) (image, own string, err error) { return "", l.next, nil }

func (l *line) Change(_ context.Context, add, remove []string) (bool, error) {
	if l.refuses != nil {
		return false, l.refuses
	}
	words := slices.DeleteFunc(strings.Fields(l.next), func(w string) bool { return slices.Contains(remove, w) })
	l.next = strings.Join(append(words, without(add, words)...), " ")
	return l.next != l.running, nil
}

func newHost(t *testing.T) *host {
	h := &host{T: t, dir: t.TempDir(), kernel: &line{}, enabled: map[string]string{}, active: map[string]bool{}}
	root, err := rootfs.Open(h.dir, rootfs.Options{Chown: func(string, int, int) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	h.t = provision.Target{Files: root, Run: h.run, Kernel: h.kernel, NoSync: true}
	h.put("/etc/passwd", "root:x:0:0::/root:/bin/bash\ncore:x:500:500::/home/core:/bin/bash\n")
	h.put("/etc/group", "root:x:0:\ncore:x:500:\n")
	return h
}

func (h *host) run(_ context.Context, name string, args ...string) ([]byte, error) {
	unit := args[len(args)-1]
	switch args[0] {
	case "is-enabled":
		return []byte(h.enabled[unit] + "\n"), nil
	case "is-active":
		return []byte(map[bool]string{true: "active", false: "inactive"}[h.active[unit]] + "\n"), nil
	case "enable":
		h.enabled[unit] = "enabled"
	case "disable":
		h.enabled[unit] = "disabled"
	case "start", "restart":
		h.active[unit] = true
	case "stop":
		h.active[unit] = false
	}
	h.ran = append(h.ran, filepath.Base(name)+" "+strings.Join(args, " "))
	return nil, nil
}

func (h *host) put(name, text string) {
	h.Helper()
	name = filepath.Join(h.dir, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		h.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		h.Fatal(err)
	}
}

// tree is all that is below the root, but for the journal.
func (h *host) tree() string {
	h.Helper()
	var out []string
	err := filepath.WalkDir(h.dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel := strings.TrimPrefix(p, h.dir)
		if rel == "/var/lib/wellcar/undo" {
			return filepath.SkipDir
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		line := fmt.Sprintf("%s %v", rel, info.Mode())
		switch {
		case d.Type() == 0:
			data, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" %q", data)
		case d.Type() == fs.ModeSymlink:
			target, _ := os.Readlink(p)
			line += " -> " + target
		}
		out = append(out, line)
		return nil
	})
	if err != nil {
		h.Fatal(err)
	}
	sort.Strings(out)
	return strings.Join(out, "\n")
}

// plan compares with what the machine is.
func (h *host) plan(old, new string) Plan {
	h.Helper()
	o, n := state(h.T, old), state(h.T, new)
	f, err := Gather(h.Context(), h.t, o, n)
	if err != nil {
		h.Fatal(err)
	}
	return Diff(o, n, f)
}

func (h *host) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// apply makes a change; undo takes it back. Both tell whether the machine must
// restart.
func (h *host) apply(p Plan, config string, try time.Duration) bool {
	h.Helper()
	restart, err := Apply(h.Context(), h.t, p, Config{JSON: []byte(config), Places: []byte("{}")}, try)
	h.must(err)
	return restart
}

func (h *host) undo() bool {
	h.Helper()
	restart, err := Undo(h.Context(), h.t, h.journal(), true)
	h.must(err)
	return restart
}

func (h *host) journal() Journal {
	h.Helper()
	j, err := LoadJournal(h.t.Files)
	h.must(err)
	return j
}

// withWords asks for kernel arguments.
const withWords = `,"kernelArguments":{"shouldExist":["quiet","nosmt"]}`

const (
	first  = `,"storage":{"files":[` + fileA + `,` + fileB + `,{"path":"/opt/tool/bin","mode":493,"contents":{"source":"data:,x"}}],"links":[{"path":"/etc/l","target":"a"}]}`
	second = `,"storage":{"files":[` + fileA2 + `,{"path":"/srv/deep/er/c","contents":{"source":"data:,c"}}],"directories":[{"path":"/opt/tool","mode":448}],"links":[{"path":"/etc/l","target":"b"}]},"systemd":{"units":[` + unitU + `]}`
)

// made first brings a host to the first config.
func (h *host) first() {
	h.Helper()
	h.apply(h.plan("", first), "first", 0)
}

func TestApplyAndUndo(t *testing.T) {
	h := newHost(t)
	h.first()
	before := h.tree()
	if !h.plan(first, first).Empty() {
		t.Error("the first config is not what the machine has")
	}
	h.apply(h.plan(first, second), "second", time.Minute)
	if p := h.plan(second, second); !p.Empty() || len(p.Kept) > 0 && os.Getuid() == 0 { // others cannot make what belongs to root
		t.Errorf("the machine differs: %v %v", p.Changes, p.Kept)
	}
	after := h.tree()
	for _, want := range []string{`/etc/a -rw-r--r-- "aa"`, "/opt/tool drwx------", `/srv/deep/er/c`, "/etc/l Lrwxrwxrwx -> b", `applied.ign -rw------- "second"`} {
		if !strings.Contains(after, want) {
			t.Errorf("no %s in\n%s", want, after)
		}
	}
	if strings.Contains(after, "/etc/b") || strings.Contains(after, "/opt/tool/bin") || h.enabled["u.service"] != "enabled" || !h.active["u.service"] {
		t.Errorf("%s\n%v %v", after, h.enabled, h.active)
	}
	if _, err := Apply(h.Context(), h.t, h.plan(second, first), Config{}, 0); !errors.Is(err, ErrTrying) {
		t.Error(err)
	}
	h.undo()
	if diff := cmp.Diff(before, h.tree()); diff != "" {
		t.Error(diff)
	}
	if h.enabled["u.service"] == "enabled" || h.active["u.service"] {
		t.Error(h.enabled, h.active)
	}
	if err := Confirm(h.t.Files); err == nil {
		t.Error("an undone change was confirmed")
	}
}

func TestConfirm(t *testing.T) {
	h := newHost(t)
	h.first()
	h.apply(h.plan(first, second), "2", time.Minute)
	h.must(Confirm(h.t.Files))
	j, err := LoadJournal(h.t.Files)
	if err != nil || j.Phase != Applied {
		t.Error(j.Phase, err)
	}
	h.apply(h.plan(second, first), "3", time.Minute)
}

// TestAccounts reads the account files and gives the tools what differs.
func TestAccounts(t *testing.T) {
	h := newHost(t)
	h.put("/etc/passwd", "core:x:500:500::/home/core:/bin/sh\n")
	h.put("/etc/shadow", "root:*:::::::\ncore:a:::::::\n")
	h.put("/etc/group", "core:x:500:\nkvm:x:78:core\nmine:x:900:root,core\nsudo:x:150:\n")
	h.put(shippedEtc+"/passwd", "core:x:500:500::/home/core:/bin/bash\n")
	h.put(shippedEtc+"/group", "sudo:x:150:core\n")
	old := users(`{"name":"core","groups":["kvm"],"passwordHash":"a","shell":"/bin/sh"}`)
	h.apply(h.plan(old, groups(`{"name":"g"}`)), "2", 0)
	want := []string{"groupadd g", "usermod --shell /bin/bash --password * --groups mine,sudo core"}
	if diff := cmp.Diff(want, h.ran); diff != "" {
		t.Error(diff)
	}
}

// TestDisabledFromTheStart has a first boot with a unit that was not enabled.
func TestDisabledFromTheStart(t *testing.T) {
	h := newHost(t)
	config := units(unitU, `{"name":"off.service","enabled":false}`)
	h.apply(h.plan("", config), "1", 0)
	h.put(presetFile, "enable u.service\n") // as the first boot writes it
	h.enabled["off.service"] = "disabled"
	s := state(t, config)
	f, err := Gather(t.Context(), h.t, s)
	h.must(err)
	for _, d := range Drift(s, f) {
		if d.Name == presetFile && strings.Contains(d.Detail, "content") {
			t.Error(d)
		}
	}
	for _, c := range h.plan(config, units(unitU)).Changes {
		if strings.Contains(c.Conflict, "content") {
			t.Error(c)
		}
	}
}

// TestNetworkFollows has networkd read its files after a change of them, and
// after its end, also in a boot, where networkctl would have no bus.
func TestNetworkFollows(t *testing.T) {
	h := newHost(t)
	const network = `{"path":"/etc/systemd/network/10-a.network","contents":{"source":"data:,x"}}`
	for _, c := range []struct {
		boot bool
		want []string
	}{
		{false, []string{"networkctl reload", "networkctl reload"}},
		{true, []string{"networkctl reload", "systemctl try-restart --no-block systemd-networkd.service"}},
	} {
		h.ran = nil
		h.apply(h.plan("", storage("files", network)), "1", time.Minute)
		_, err := Undo(t.Context(), h.t, h.journal(), !c.boot)
		h.must(err)
		if diff := cmp.Diff(c.want, h.ran); diff != "" {
			t.Error(diff)
		}
	}
	h.ran = nil
	h.apply(h.plan("", storage("files", fileA)), "1", 0)
	if len(h.ran) > 0 {
		t.Error(h.ran)
	}
}

// TestMergedKeys has keys merged again, where that was done before, after a
// change and after its end.
func TestMergedKeys(t *testing.T) {
	h := newHost(t)
	const dir, merge = "/home/core/.ssh/", "update-ssh-keys -u core"
	keys := func(list string) string { return users(`{"name":"core","sshAuthorizedKeys":[` + list + `]}`) }
	h.apply(h.plan("", keys(`"k1","k2"`)), "1", 0)
	h.put(dir+"authorized_keys", "mine\n")
	h.apply(h.plan(keys(`"k1","k2"`), keys(`"k1"`)), "2", 0)
	if slices.Contains(h.ran, merge) {
		t.Error("the user's own file was merged")
	}
	h.put(dir+"authorized_keys", layout.MergedKeys+"k1\ncloud\n")
	h.put(dir+"authorized_keys.d/cloud", "cloud\n")
	h.apply(h.plan(keys(`"k1"`), ""), "3", time.Minute)
	h.undo()
	if n := strings.Count(strings.Join(h.ran, "\n"), merge); n != 2 {
		t.Errorf("merged %d times: %v", n, h.ran)
	}
	h.must(os.Remove(filepath.Join(h.dir, dir, "authorized_keys.d/cloud")))
	h.apply(h.plan(keys(`"k1"`), ""), "4", 0)
	if data, err := os.ReadFile(filepath.Join(h.dir, dir, "authorized_keys")); err != nil || string(data) != layout.MergedKeys {
		t.Errorf("with no keys left: %q %v", data, err)
	}
}

// TestUndoOfConfirmed finds the work of people since, and leaves homes alone
// that were used.
func TestUndoOfConfirmed(t *testing.T) {
	for _, used := range []bool{false, true} {
		h := newHost(t)
		h.t.Run = func(ctx context.Context, name string, args ...string) ([]byte, error) {
			if filepath.Base(name) == "useradd" {
				h.put("/etc/passwd", "root:x:0:0::/root:/bin/bash\nbob:x:1000:1000::/home/bob:/bin/bash\n")
				h.put("/home/bob/.bashrc", "skel")
			}
			return h.run(ctx, name, args...)
		}
		h.put("/var/lib/wellcar/provision.json", "{}")
		before := h.tree()
		h.apply(h.plan("", users(`{"name":"bob","sshAuthorizedKeys":["k"]}`)+storage("files", fileA)), "2", time.Minute)
		h.must(Confirm(h.t.Files))
		later := func(want ...string) {
			h.Helper()
			got, err := Later(h.t.Files, h.journal())
			h.must(err)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		}
		later()
		if used {
			h.put("/home/bob/work", "of weeks")
			h.put("/etc/a", "by hand")
			later("/home/bob", "/etc/a")
		}
		h.undo()
		switch _, err := os.Stat(filepath.Join(h.dir, "home/bob/work")); {
		case used && err != nil:
			t.Error(err)
		case !used:
			if diff := cmp.Diff(before, h.tree()); diff != "" {
				t.Error(diff)
			}
		}
	}
}

// torn fails from the n-th change of a file on, as a machine does that loses
// its power or its disk space.
type torn struct {
	provision.Files
	left *int
}

var errTorn = errors.New("torn")

func (f torn) step() error {
	if *f.left--; *f.left < 0 {
		return errTorn
	}
	return nil
}

func (f torn) Mkdir(name string, perm uint32) error {
	if err := f.step(); err != nil {
		return err
	}
	return f.Files.Mkdir(name, perm)
}

func (f torn) WriteFile(name string, data []byte, m rootfs.Meta) error {
	if err := f.step(); err != nil {
		return err
	}
	return f.Files.WriteFile(name, data, m)
}

func (f torn) WriteFrom(name string, m rootfs.Meta, write func(w io.Writer) error) error {
	if err := f.step(); err != nil {
		return err
	}
	return f.Files.WriteFrom(name, m, write)
}

func (f torn) Symlink(target, name string) error {
	if err := f.step(); err != nil {
		return err
	}
	return f.Files.Symlink(target, name)
}

func (f torn) RemoveAll(name string) error {
	if err := f.step(); err != nil {
		return err
	}
	return f.Files.RemoveAll(name)
}

// disk notes what is written and what gets to the disk.
type disk struct {
	provision.Files
	did []string
}

func (d *disk) WriteFile(name string, data []byte, m rootfs.Meta) error {
	what := "write "
	if m.Sync {
		what = "write and sync "
	}
	d.did = append(d.did, what+name)
	return d.Files.WriteFile(name, data, m)
}

func (d *disk) WriteFrom(name string, m rootfs.Meta, write func(w io.Writer) error) error {
	d.did = append(d.did, "write "+name)
	return d.Files.WriteFrom(name, m, write)
}

func (d *disk) RemoveAll(name string) error {
	d.did = append(d.did, "remove "+name)
	return d.Files.RemoveAll(name)
}

func (d *disk) Sync(names ...string) error {
	d.did = append(d.did, "sync "+strings.Join(names, " "))
	return d.Files.Sync(names...)
}

// TestOrderOnDisk wants each journal on the disk after what it speaks of, and
// before what comes then, also if /var is a file system of its own.
func TestOrderOnDisk(t *testing.T) {
	h := newHost(t)
	h.first()
	d := &disk{Files: h.t.Files}
	h.t.Files = d
	const all = "sync /var/lib/wellcar/undo /var /var/lib /var/lib/wellcar /var/lib/wellcar/applied.ign /var/lib/wellcar/applied.places /etc /etc/a"
	h.apply(h.plan(storage("files", fileA), storage("files", fileA2)), "2", time.Minute)
	h.undo()
	want := []string{
		"remove /var/lib/wellcar/undo/journal.json", "remove /var/lib/wellcar/undo",
		"write /var/lib/wellcar/undo/files/3", "write /var/lib/wellcar/undo/files/4", "write /var/lib/wellcar/undo/files/6",
		all, "write and sync " + journalFile,
		"write /etc/a", "write /var/lib/wellcar/applied.places", "write /var/lib/wellcar/applied.ign",
		all, "write and sync " + journalFile,
		"write /etc/a", "write /var/lib/wellcar/applied.ign",
		all, "remove /var/lib/wellcar/undo/journal.json", "remove /var/lib/wellcar/undo", "sync /var/lib/wellcar",
	}
	if diff := cmp.Diff(want, d.did); diff != "" {
		t.Error(diff)
	}
}

// TestCrash stops a change after each of its steps, and the undoing as well,
// and looks whether the next boot finds the way back.
func TestCrash(t *testing.T) {
	for steps := 0; ; steps++ {
		h := newHost(t)
		h.first()
		before, p, left := h.tree(), h.plan(first, second+withWords), steps
		broken := h.t
		broken.Files = torn{h.t.Files, &left}
		if _, err := Apply(h.Context(), broken, p, Config{JSON: []byte("2")}, time.Minute); err == nil {
			if steps < 10 {
				t.Errorf("the change has %d steps", steps)
			}
			return
		}
		for again := range 3 { // the undoing is cut as well
			left = again
			if j, err := LoadJournal(h.t.Files); err == nil && j.Phase != Applied {
				_, _ = Undo(h.Context(), broken, j, false)
			}
		}
		if j, err := LoadJournal(h.t.Files); err == nil && j.Phase != Applied {
			_, err := Undo(h.Context(), h.t, j, false)
			h.must(err)
		}
		if diff := cmp.Diff(before, h.tree()); diff != "" || h.kernel.next != "" {
			t.Fatalf("after %d steps:\n%s\nkernel arguments %q", steps, diff, h.kernel.next)
		}
	}
}

func TestFailureUndoes(t *testing.T) {
	h := newHost(t)
	h.first()
	before := h.tree()
	bad := `,"storage":{"files":[` + fileA2 + `,{"path":"/etc/z","user":{"name":"messagebus"},"contents":{"source":"data:,c"}}]}`
	_, err := Apply(h.Context(), h.t, h.plan(first, bad), Config{}, 0)
	const want = "c.ign:1:104: cannot add file /etc/z: there is no user messagebus; everything is as it was"
	if err == nil || err.Error() != want {
		t.Error(err)
	}
	if diff := cmp.Diff(before, h.tree()); diff != "" {
		t.Error(diff)
	}
}

func TestJournalIsJudged(t *testing.T) {
	h := newHost(t)
	for _, text := range []string{"{", `{"saved":[{"path":"/"}]}`, `{"saved":[{"path":"etc"}]}`, `{"saved":[{"path":"/a","copy":"../x"}]}`} {
		h.put(journalFile, text)
		if j, err := LoadJournal(h.t.Files); err == nil {
			t.Errorf("%s was taken: %+v", text, j)
		}
	}
}

// TestKernelArguments follows a change that is tried over the restart that it
// needs: answered, not answered, and undone later.
func TestKernelArguments(t *testing.T) {
	h := newHost(t)
	h.first()
	h.kernel.running, h.kernel.next = "quiet mine", "quiet mine"
	before, p := h.tree(), h.plan(first, first+withWords)
	for _, confirmed := range []bool{false, true} {
		if !h.apply(p, "2", time.Minute) || h.kernel.next != "quiet mine nosmt" {
			t.Fatalf("the next kernel has %q", h.kernel.next)
		}
		if err := Confirm(h.t.Files); err == nil || h.journal().Phase != Restarting {
			t.Error("confirmed before the restart:", err, h.journal().Phase)
		}
		h.kernel.running = h.kernel.next
		try, err := Resume(h.t.Files, h.journal())
		if err != nil || try != time.Minute || h.journal().Phase != Trying {
			t.Error(try, err, h.journal().Phase)
		}
		if confirmed {
			h.must(Confirm(h.t.Files))
		}
		if !h.undo() || h.kernel.next != "quiet mine" {
			t.Errorf("the next kernel has %q", h.kernel.next)
		}
		if diff := cmp.Diff(before, h.tree()); diff != "" {
			t.Error(diff)
		}
		h.kernel.running = h.kernel.next
	}
	if h.apply(h.plan(first+withWords, first+withWords), "3", 0) || h.kernel.next != "quiet mine" {
		t.Error("nothing was to change")
	}
}

// TestKernelRefuses has a machine whose kernel arguments cannot be changed.
func TestKernelRefuses(t *testing.T) {
	h := newHost(t)
	h.first()
	before, p := h.tree(), h.plan(first, second+withWords)
	h.kernel.refuses = errors.New("the line is full")
	const want = "c.ign:1:430: cannot change kernel arguments quiet nosmt: the line is full; "
	if _, err := Apply(h.Context(), h.t, p, Config{}, 0); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Error(err)
	}
	h.kernel.refuses = nil
	h.undo()
	if diff := cmp.Diff(before, h.tree()); diff != "" {
		t.Error(diff)
	}
	h.t.Kernel = nil
	if _, err := Apply(h.Context(), h.t, p, Config{}, 0); !errors.Is(err, errNoKernel) {
		t.Error(err)
	}
}
