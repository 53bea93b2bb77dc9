package vm_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"wellcar.dev/internal/qemu"
	"wellcar.dev/internal/server"
)

// updateLimit is longer than that of other tests: four boots and more.
const updateLimit = 30 * time.Minute

// versions are the builds that the tests share, by version.
var versions struct {
	mu  sync.Mutex
	dir string // of all
	of  map[string]string
}

// TestMain removes what the tests shared.
func TestMain(m *testing.M) {
	code := m.Run()
	if versions.dir != "" {
		os.RemoveAll(versions.dir)
	}
	os.Exit(code)
}

// buildVersion is the folder of a build of the recipe with another version.
// The first test that asks makes it; it is not to be written to.
func (r *rig) buildVersion(version string) (dir string) {
	r.Helper()
	versions.mu.Lock()
	defer versions.mu.Unlock()
	if dir := versions.of[version]; dir != "" {
		return dir
	}
	if versions.dir == "" {
		var err error
		versions.dir, err = os.MkdirTemp("", "wellcar-versions-")
		r.must(err)
		versions.of = map[string]string{}
	}
	dir = filepath.Join(versions.dir, version)
	r.build(version, dir)
	versions.of[version] = dir
	return dir
}

func (r *rig) build(version, dir string) {
	r.Helper()
	recipe := filepath.Join(r.TempDir(), "recipe")
	r.must(os.CopyFS(recipe, os.DirFS("../../image")))
	name := filepath.Join(recipe, "recipe.yaml")
	text, err := os.ReadFile(name)
	r.must(err)
	lines := strings.Split(string(text), "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, "version: ") {
			lines[i] = "version: " + version
		}
	}
	r.must(os.WriteFile(name, []byte(strings.Join(lines, "\n")), 0o644))
	out, err := exec.CommandContext(r.ctx, "../../bin/wellcar", "build", "--recipe", recipe, "--out", dir).CombinedOutput()
	if err != nil {
		r.Fatalf("building %s: %v\n%s", version, err, out)
	}
}

// updates is a server whose release can be exchanged, and what it was told.
type updates struct {
	mu   sync.Mutex
	dir  string
	told []string
	addr string
}

func (u *updates) serve(dir string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.dir = dir
}

func (u *updates) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u.mu.Lock()
	h := server.Handler{Dir: u.dir, Logf: u.note}
	u.mu.Unlock()
	h.ServeHTTP(w, r)
}

func (u *updates) note(format string, args ...any) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.told = append(u.told, fmt.Sprintf(format, args...))
}

// heard says whether a machine told something.
func (u *updates) heard(what string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, line := range u.told {
		if strings.Contains(line, what) {
			return true
		}
	}
	return false
}

func (r *rig) newUpdates() *updates {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	r.must(err)
	_, port, err := net.SplitHostPort(l.Addr().String())
	r.must(err)
	u := &updates{addr: net.JoinHostPort(qemu.HostAddress, port)}
	srv := &http.Server{Handler: u}
	go srv.Serve(l)
	r.Cleanup(func() {
		srv.Close()
		for _, line := range u.told {
			r.Logf("server: %s", line)
		}
	})
	return u
}

// follower is the config of a machine that follows a server and has an
// application which does not work on one version.
func (r *rig) follower(u *updates, trust []byte, broken string) []byte {
	return r.filesConfig(slices.Concat(checkedApp(broken, "30s"), following(u, trust))...)
}

// following makes a machine follow a server and reboot only when told.
func following(u *updates, trust []byte) []configFile {
	return []configFile{
		file("/etc/flatcar/update.conf", 0o644, "GROUP=stable\nSERVER=http://"+u.addr+"/v1/update/\nREBOOT_STRATEGY=off\n"),
		file("/etc/wellcar/release-keys.pem", 0o644, string(trust)),
	}
}

// checkedApp is an application that does not work on one version, which its
// health check finds out.
func checkedApp(broken, deadline string) []configFile {
	return []configFile{
		file("/opt/bin/app-works", 0o755, "#!/bin/sh\n! grep -q '^VERSION="+broken+"$' /etc/os-release\n"),
		file("/etc/wellcar/health.d/app.yaml", 0o644, "deadline: "+deadline+"\nchecks:\n  - name: the application\n    command: [/opt/bin/app-works]\n"),
	}
}

// oemHook makes a hook of the owner that writes down what it was shown.
const oemHook = `printf '%s\n' '#!/bin/sh' 'echo "$1 $(sed -n s/^VERSION=//p $2/lib/os-release) $(findmnt -no FSTYPE $2) $(findmnt -no OPTIONS $2 | grep -ow ro)" > /var/log/oem-postinst' |
sudo install -D -m 755 /dev/stdin /oem/bin/oem-postinst`

// TestUpdateBIOS follows a machine with a BIOS, where GRUB starts and counts,
// from one release to the next, and to one on which its application does not
// work, and back. docs/updates.md does the same under UEFI.
func TestUpdateBIOS(t *testing.T) {
	t.Parallel()
	r := newRigFor(t, updateLimit)
	p := r.newPublisher()
	first, second, third := r.openBuilt(filepath.Dir(r.image)), r.openBuilt(r.buildVersion("0.2.0")), r.openBuilt(r.buildVersion("0.3.0"))
	u := r.newUpdates()
	u.serve(p.publish(second))
	vm := r.start(qemu.Machine{Firmware: qemu.BIOS, Image: r.copyImage(), Persist: true, FwCfg: map[string][]byte{configName: r.follower(u, p.trust, third.version)}})
	client, err := vm.SSH(r.ctx, "core", r.key, 0)
	r.must(err)
	r.overSSH(client, []check{
		{"the firmware", "ls /sys/firmware/efi", `.*No such file or directory`, 2},
		waitGood(first.version),
		{"other loaders", otherLoaders, "", 0},
		{"a word of the owner", `echo 'set linux_append="$linux_append wellcar.owner=1"' | sudo tee -a /oem/grub.cfg`, `set linux_append=.*`, 0},
		{"a hook of the owner", oemHook, "", 0},
		{"the update", "sudo update_engine_client -update", `.*CURRENT_OP=UPDATE_STATUS_UPDATED_NEED_REBOOT\nNEW_VERSION=0.2.0\n.*Update succeeded -- reboot needed.`, 0},
		{"what the hook saw", "cat /var/log/oem-postinst; grep -c new-usr /proc/mounts; sudo udevadm settle; sudo dmsetup ls | grep -c new-usr", "B 0.2.0 erofs ro\n0\n0", 1},
		{"the status", "update_engine_client -status", `LAST_CHECKED_TIME=[1-9]\d*\nPROGRESS=1.000000\nCURRENT_OP=UPDATE_STATUS_UPDATED_NEED_REBOOT\nNEW_VERSION=0.2.0\nNEW_SIZE=[1-9]\d*`, 0},
		{"the menu", menu, "version_1=0.2.0\ntries_1=III\nversion_2=0.1.0\ntries_2=", 0},
		{"a mark for others", "test -e /run/reboot-required", ``, 0},
		{"the next slot", "sudo cgpt next /dev/vda", `E03DD35C-7C2D-4A47-B3FE-27F15780A57C`, 0},
	})
	client = r.reboot(vm, client, "0.2.0")
	r.overSSH(client, []check{
		{"its slot", "rootdev -s /usr", "/dev/vda4", 0},
		{"the word of the owner", "grep -o wellcar.owner=1 /proc/cmdline", "wellcar.owner=1", 0},
		waitGood("0.2.0"),
		{"cgpt", "sudo cgpt show -i 4 -S /dev/vda; sudo cgpt show -i 4 -P /dev/vda", "1\n2", 0},
		{"its loaders", newLoaders, "2048\nEFI PART", 0},
		noFailed,
	})
	u.serve(p.publish(third, second))
	r.overSSH(client, []check{
		{"the bad update", "sudo update_engine_client -update", `.*Update succeeded -- reboot needed.`, 0},
		{"by a delta", "sudo journalctl -u update-engine", `.*installed 0.3.0 by the delta.*`, 0},
	})
	client = r.reboot(vm, client, "0.2.0")
	r.overSSH(client, []check{
		{"its slot", "rootdev -s /usr", "/dev/vda4", 0},
		{"the menu", menu, "version_1=0.2.0\ntries_1=\nversion_2=0.3.0\ntries_2=-", 0},
		{"the sentence at login", "timeout 120 sh -c 'until grep -q undone /run/flatcar/motd; do sleep 1; done'; cat /run/flatcar/motd", `.*The update to 0.3.0 was undone: the application \(/etc/wellcar/health.d/app.yaml:3\) did not hold within 30s.*`, 0},
		{"the same update again", "sudo update_engine_client -update", `.*not installing 0.3.0: 0.3.0 was given up.*`, 1},
		{"no reboot is due", "update_engine_client -status", `.*UPDATE_STATUS_IDLE.*`, 0},
		noFailed,
	})
	for _, what := range []string{"downloads", "has downloaded", "has installed it and waits for a reboot", "came from 0.1.0", "went back to the old version", "holds it back"} {
		if !u.heard(what) {
			t.Errorf("the server was not told that a machine %s", what)
		}
	}
}

// otherLoaders makes the loaders of a disk other ones that work: a core image of
// one more sector, boot code with other words, more lines of configuration, and
// a longer systemd-boot.
const otherLoaders = `sudo sh -e -c '
n=$(od -An -tu2 -j508 -N2 /dev/vda2)
printf "\\$(printf %o $(((n + 1) % 256)))\\$(printf %o $(((n + 1) / 256)))" | dd of=/dev/vda2 bs=1 seek=508 conv=notrunc status=none
printf "grub" | dd of=/dev/vda bs=1 seek=384 conv=notrunc status=none
echo "# of an older release" >> /boot/wellcar/grub.cfg
echo >> /boot/EFI/BOOT/BOOTX64.EFI
sync'`

// newLoaders waits until the loaders are those of the running release, and
// shows by how many sectors into its partition the core image lies, and what
// follows sector 0.
const newLoaders = `sudo timeout 120 sh -e -c '
cd /usr/lib/wellcar/grub
until cmp -s grub.cfg /boot/wellcar/grub.cfg && cmp -s /usr/lib/systemd/boot/efi/systemd-bootx64.efi /boot/EFI/BOOT/BOOTX64.EFI; do sleep 1; done
cmp -n 500 core.img /dev/vda2 0 1048576
cmp -n $(($(stat -c %s core.img) - 508)) core.img /dev/vda2 508 1049084
cmp -n 92 boot.img /dev/vda
test ! -e /boot/wellcar/grub.cfg.new
echo $(($(od -An -tu8 -j92 -N8 /dev/vda) - $(cat /sys/class/block/vda2/start)))
dd if=/dev/vda bs=512 skip=1 count=1 status=none | head -c 8'`

// menu shows what GRUB starts, first to start first.
const menu = `sudo grep -a '^version_\|^tries_' /boot/wellcar/grubenv`

// waitGood waits until the running version is marked good.
func waitGood(version string) check {
	return check{"marking good", "sudo timeout 300 sh -c 'until test -e /boot/EFI/Linux/wellcar-" + version + ".efi; do sleep 1; done'", ``, 0}
}

// reboot returns when the machine has started anew and runs a version, however
// many boots that takes.
func (r *rig) reboot(vm *qemu.VM, client *qemu.Client, version string) *qemu.Client {
	r.Helper()
	return r.startsAnew(vm, client, version, func() {
		go client.Run(r.ctx, "sudo systemctl reboot") // cut off by what it does, or left hanging
	})
}

// startsAnew does something to a machine and returns when it has started
// again and runs a version, however many boots that takes.
func (r *rig) startsAnew(vm *qemu.VM, client *qemu.Client, version string, do func()) *qemu.Client {
	r.Helper()
	before, _ := r.boot(client)
	mark := vm.Serial.Mark()
	do()
	defer client.Close()
	for {
		next, err := vm.SSH(r.ctx, "core", r.key, mark)
		r.must(err)
		if id, now := r.boot(next); id != "" && id != before && now == version {
			return next
		}
		next.Close()
		mark = vm.Serial.Mark()
	}
}

// boot is the identity of the running boot and its version; both are empty
// when the machine goes down meanwhile.
func (r *rig) boot(client *qemu.Client) (id, version string) {
	got, err := client.Ask(r.ctx, 20*time.Second, `. /etc/os-release; echo "$(cat /proc/sys/kernel/random/boot_id) $VERSION"`)
	if err != nil {
		return "", ""
	}
	id, version, _ = strings.Cut(strings.TrimSpace(string(got.Stdout)), " ")
	return id, version
}
