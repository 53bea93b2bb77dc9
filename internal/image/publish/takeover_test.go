package publish

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"wellcar.dev/internal/format/crau"
	"wellcar.dev/internal/format/crau/crautest"
	"wellcar.dev/internal/format/ext2"
	"wellcar.dev/internal/format/verity"
	"wellcar.dev/internal/image"
	"wellcar.dev/internal/release"
	"wellcar.dev/internal/sys/hermetic/tooltest"
)

// TestTakeover applies the payload as update_engine does, reads the file
// system that is around the image, and puts the displaced blocks back.
func TestTakeover(t *testing.T) {
	keyDir, dir, build := t.TempDir(), filepath.Join(t.TempDir(), "r"), makeBuild(t, "1.2.3", content(1))
	keys := makeKeys(t, keyDir, 1)
	makeRelease(t, Input{Build: build, Keys: keys, Out: dir, Minimum: "0.0.0", CrAU: true, Fast: true})
	m, err := CheckManifest(dir, trustOf(t, keyDir), release.Policy{Now: date})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{crau.File, crau.File + ".sha256", crau.File + ".DIGESTS", crau.File + ".DIGESTS.asc", MigrateFile} {
		if _, err := chosen(m, []string{name}); err != nil {
			t.Error(err)
		}
	}
	slot := applied(t, dir, keyDir, build)
	if out, err := tooltest.Command(t, "e2fsck", "-f", "-n", slot.Name()).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	program := dump(t, slot.Name(), release.TakeoverProgram)
	if string(program) != "#!/bin/sh\necho postinst\n" {
		t.Errorf("%q", program)
	}
	record, err := release.ParseTakeover(dump(t, slot.Name(), release.TakeoverRecord))
	if err != nil {
		t.Fatal(err)
	}
	blocks := dump(t, slot.Name(), release.TakeoverBlocks)
	root, err := hex.DecodeString(record.RootHash)
	if err != nil {
		t.Fatal(err)
	}
	if err := verity.Verify(slot, 0, record.UsrSize, [32]byte(root)); err == nil {
		t.Error("the image is whole with a file system in it")
	}
	for i, n := range record.Displaced {
		if _, err := slot.WriteAt(blocks[i*ext2.BlockSize:(i+1)*ext2.BlockSize], int64(n)*ext2.BlockSize); err != nil {
			t.Fatal(err)
		}
	}
	if err := verity.Verify(slot, 0, record.UsrSize, [32]byte(root)); err != nil {
		t.Error(err)
	}
}

// applied is a slot that the payload was written into.
func applied(t *testing.T, dir, keyDir, build string) *os.File {
	t.Helper()
	payload, err := os.Open(filepath.Join(dir, crau.File))
	if err != nil {
		t.Fatal(err)
	}
	defer payload.Close()
	key, err := os.ReadFile(filepath.Join(keyDir, PayloadPublicFile))
	if err != nil {
		t.Fatal(err)
	}
	slot, err := os.Create(filepath.Join(t.TempDir(), "slot"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slot.Close() })
	kernel, _, err := crautest.Apply(payload, slot, key)
	if err != nil {
		t.Fatal(err)
	}
	uki, err := os.ReadFile(filepath.Join(build, image.UKIFile))
	if err != nil || !bytes.Equal(kernel, uki) {
		t.Errorf("the kernel is not the build's, %v", err)
	}
	return slot
}

func dump(t *testing.T, fs, name string) []byte {
	t.Helper()
	to := filepath.Join(t.TempDir(), "file")
	if out, err := tooltest.Command(t, "debugfs", "-R", "dump "+name+" "+to, fs).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	data, err := os.ReadFile(to)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestTakeoverNeedsKey(t *testing.T) {
	keyDir := t.TempDir()
	makeKeys(t, keyDir, 1)
	if err := os.Remove(filepath.Join(keyDir, PayloadKeyFile)); err != nil {
		t.Fatal(err)
	}
	keys, err := LoadKeys(keyDir)
	if err != nil {
		t.Fatal(err)
	}
	in := Input{Build: makeBuild(t, "1.2.3", content(1)), Keys: keys, Out: filepath.Join(t.TempDir(), "r"), Channel: "stable", CrAU: true, Fast: true, Date: date, Expires: date}
	if _, err := Make(t.Context(), in); err == nil || !strings.Contains(err.Error(), "make one with wellcar release keys") {
		t.Error(err)
	}
}

// TestMigrateScript runs the checks of the script on machines made of files
// and of programs that answer as update_engine's would.
func TestMigrateScript(t *testing.T) {
	shell, err := exec.LookPath("sh")
	if err != nil || os.Getuid() != 0 {
		t.Skip("the script runs as root, and needs a shell")
	}
	keyDir, dir := t.TempDir(), filepath.Join(t.TempDir(), "r")
	makeRelease(t, Input{Build: makeBuild(t, "1.2.3", content(1)), Keys: makeKeys(t, keyDir, 1), Out: dir, Minimum: "0.0.0", CrAU: true, Fast: true})
	for name, c := range map[string]struct {
		change func(m oldMachine)
		want   string
		code   int
	}{
		"fits":       {func(oldMachine) {}, "migrate: Wellcar 1.2.3 fits", 0},
		"coreos":     {func(m oldMachine) { m.rename("usr/share/flatcar", "usr/share/coreos") }, "migrate: Wellcar 1.2.3 fits", 0},
		"extensions": {func(m oldMachine) { m.write("etc/flatcar/enabled-sysext.conf", "# none\npodman\n") }, "enabled-sysext.conf belong to the old system", 0},
		"BIOS":       {func(m oldMachine) { m.bios(4096, 4096, 300) }, "migrate: Wellcar 1.2.3 fits", 0},
		"BIOS, again": {func(m oldMachine) {
			m.bios(6144, 4096, 300)
			m.write("boot/wellcar/before.sector", sectorFor(4096))
		}, "migrate: Wellcar 1.2.3 fits", 0},
		"BIOS, long core image": {func(m oldMachine) { m.bios(4096, 4096, 2049) }, "fills more than half of /dev/sda2: install anew", 1},
		"BIOS, other boot code": {func(m oldMachine) { m.bios(34, 4096, 300) }, "sector 0 of /dev/sda does not start", 1},
		"BIOS, no partition":    {func(m oldMachine) { m.remove("sys/firmware/efi") }, "/dev/sda2 is no BIOS boot partition", 1},
		"secure boot": {func(m oldMachine) {
			m.write("sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c", "\x06\x00\x00\x00\x01")
		}, "Secure Boot is on", 1},
		"small slot": {func(m oldMachine) { m.write("sys/class/block/sda4/size", "2048") }, "/dev/sda4 has 1 MiB, the new system needs 1024", 1},
		"full /boot": {func(m oldMachine) { m.program("df", "echo; echo x 1 1 100 x /boot") }, "/boot needs", 1},
		"ESP":        {func(m oldMachine) { m.mounts("/dev/sdb1 /boot vfat rw 0 0\n") }, "/boot is /dev/sdb1, not the EFI system partition /dev/sda1", 1},
		"root":       {func(m oldMachine) { m.mounts("tmpfs / tmpfs rw 0 0\n") }, "the root file system is tmpfs", 1},
		"waiting": {func(m oldMachine) {
			m.program("update_engine_client", "echo CURRENT_OP=UPDATE_STATUS_UPDATED_NEED_REBOOT")
		}, "an update waits for a reboot", 1},
		"nothing": {func(m oldMachine) { m.remove("usr/share/flatcar") }, "neither Flatcar nor CoreOS", 1},
	} {
		t.Run(name, func(t *testing.T) {
			m := newOldMachine(t)
			c.change(m)
			cmd := exec.Command(shell, filepath.Join(dir, MigrateFile), "--check")
			cmd.Env = append(os.Environ(), "ROOT="+m.root, "PATH="+filepath.Join(m.root, "bin")+":"+os.Getenv("PATH"))
			out, _ := cmd.CombinedOutput()
			if code := cmd.ProcessState.ExitCode(); code != c.code || !strings.Contains(string(out), c.want) {
				t.Errorf("status %d, want %d\n%s", code, c.code, out)
			}
		})
	}
}

// sectorFor is a sector 0 whose boot code starts a sector.
func sectorFor(core uint64) string {
	sector := bytes.Repeat([]byte{0xdd}, 512)
	binary.LittleEndian.PutUint64(sector[92:], core)
	return string(sector)
}

// bios makes the machine one that a BIOS started: what sector 0 starts, where
// the BIOS boot partition begins, and the length of the core image there,
// sectors.
func (m oldMachine) bios(starts, first uint64, length uint16) {
	m.remove("sys/firmware/efi")
	core := make([]byte, 512)
	binary.LittleEndian.PutUint16(core[508:], length-1)
	m.write("dev/sda", sectorFor(starts))
	m.write("dev/sda2", string(core))
	m.write("sys/class/block/sda2/uevent", "PARTN=2\nPARTNAME=BIOS-BOOT\n")
	m.write("sys/class/block/sda2/start", fmt.Sprintln(first))
	m.write("sys/class/block/sda2/size", "4096\n")
}

// TestMigrateUndoBIOS takes back what starts the new system.
func TestMigrateUndoBIOS(t *testing.T) {
	shell, err := exec.LookPath("sh")
	if err != nil || os.Getuid() != 0 {
		t.Skip("the script runs as root, and needs a shell")
	}
	m := newOldMachine(t)
	m.bios(6144, 4096, 300)
	before := sectorFor(4096)
	m.write("boot/wellcar/before.sector", before)
	m.write("etc/flatcar/update.conf", "SERVER=x\n")
	m.program("systemctl", "true")
	name := filepath.Join(t.TempDir(), "migrate.sh")
	write(t, name, []byte(migrateScript))
	cmd := exec.Command(shell, name, "--undo")
	cmd.Env = append(os.Environ(), "ROOT="+m.root, "PATH="+filepath.Join(m.root, "bin")+":"+os.Getenv("PATH"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got, err := os.ReadFile(filepath.Join(m.root, "dev/sda")); err != nil || string(got) != before {
		t.Errorf("sector 0 is not that of the old system, %v", err)
	}
	if _, err := os.Stat(filepath.Join(m.root, "boot/wellcar")); err == nil {
		t.Error("what GRUB reads is still there")
	}
}

// oldMachine is a folder with what the script looks at.
type oldMachine struct {
	*testing.T
	root string
}

func newOldMachine(t *testing.T) oldMachine {
	m := oldMachine{t, t.TempDir()}
	m.write("usr/share/flatcar/release", "FLATCAR_RELEASE_VERSION=4230.2.3\n")
	m.write("etc/os-release", "ID=flatcar\n")
	m.write("sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c", "\x06\x00\x00\x00\x00")
	m.write("sys/class/block/sda4/size", "2097152\n")
	m.write("sys/fs/cgroup/cgroup.controllers", "cpu\n")
	m.write("boot/EFI/boot/bootx64.efi", "shim")
	m.write("boot/flatcar/vmlinuz-a", "kernel")
	m.mounts("")
	m.program("rootdev", "echo /dev/sda3")
	m.program("uname", "echo x86_64")
	m.program("df", "echo; echo x 1 1 60000 x /boot")
	m.program("update_engine_client", "echo CURRENT_OP=UPDATE_STATUS_IDLE")
	return m
}

func (m oldMachine) write(name, text string) {
	name = filepath.Join(m.root, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		m.Fatal(err)
	}
	write(m.T, name, []byte(text))
}

func (m oldMachine) program(name, line string) {
	m.write("bin/"+name, "#!/bin/sh\n"+line+"\n")
	if err := os.Chmod(filepath.Join(m.root, "bin", name), 0o755); err != nil {
		m.Fatal(err)
	}
}

// mounts lists mounts; later lines count more.
func (m oldMachine) mounts(more string) {
	m.write("proc/mounts", "/dev/sda9 / ext4 rw 0 0\nefivarfs /sys/firmware/efi/efivars efivarfs rw,nosuid 0 0\n/dev/sda1 /boot vfat rw 0 0\n"+more)
}

func (m oldMachine) remove(name string) {
	if err := os.RemoveAll(filepath.Join(m.root, name)); err != nil {
		m.Fatal(err)
	}
}

func (m oldMachine) rename(from, to string) {
	if err := os.Rename(filepath.Join(m.root, from), filepath.Join(m.root, to)); err != nil {
		m.Fatal(err)
	}
}
