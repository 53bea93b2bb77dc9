package qemu

import (
	"fmt"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// stubCmdline is the SMBIOS type 11 string whose words systemd-stub appends
// to the kernel's command line (systemd-stub(7), "SMBIOS"). So does our GRUB.
const stubCmdline = "io.systemd.stub.kernel-cmdline-extra="

// kernelWords are the caller's and what emulation needs. Under KVM the kernel
// knows by itself.
func (m Machine) kernelWords() []string {
	if m.Accel != TCG {
		return m.KernelArgs
	}
	return append(slices.Clone(emulatedWords), m.KernelArgs...)
}

// emulatedWords make up for a busy host, on which an emulated timer ticks too
// late and the kernel measures the rate of the local APIC's wrongly.
var emulatedWords = []string{
	// The kernel panics when its check of the timer at boot fails ("IO-APIC +
	// timer doesn't work").
	"no_timer_check",
	// An idle kernel sleeps for half the time in which the PM timer wraps
	// (4.7 s). With a rate that is wrong by two it sleeps for all of it, takes
	// the time that passed for none, and its clock stands still for ever. A tick
	// on idle CPUs too keeps every sleep short.
	"nohz=off",
	// No speculation, nothing to mitigate; retpolines cost a jump each.
	"mitigations=off",
}

// places are the files of one machine, all prepared before QEMU starts.
type places struct {
	code, vars string   // firmware
	boot       string   // the disk to boot from
	bootFormat string   // raw or qcow2
	disks      []string // raw
	serial     string   // sockets on which the caller listens
	qmp        string
	monitor    string   // socket on which QEMU listens, for other programs
	tpm        string   // socket of the TPM; "" without one
	fwcfg      string   // folder of the firmware files, by index in sorted order
	data       []string // folders with option ROMs and the like
}

// arguments is QEMU's command line. It is a pure function, and equal machines
// give equal lines.
func arguments(m Machine, p places) []string {
	a := []string{
		"-nodefaults", "-no-user-config", "-display", "none", "-parallel", "none", "-monitor", "none",
		"-machine", "q35,hpet=off,vmport=off,sata=off,smbus=off", "-boot", "menu=off,strict=on",
		"-smp", strconv.Itoa(m.CPUs), "-m", strconv.Itoa(m.Memory),
	}
	a = append(a, cpuArguments(m.Accel)...)
	for _, dir := range p.data {
		a = append(a, "-L", dir)
	}
	if m.Firmware != BIOS { // without these QEMU takes the BIOS from its data folders
		a = append(a,
			"-drive", "if=pflash,format=raw,unit=0,readonly=on,file="+escape(p.code),
			"-drive", "if=pflash,format=raw,unit=1,file="+escape(p.vars),
		)
	}
	a = append(a, "-device", "virtio-rng-pci")
	a = append(a, diskArguments(m, p)...)
	a = append(a, networkArguments(m)...)
	a = append(a, channelArguments(p)...)
	for i, name := range sortedNames(m.FwCfg) {
		a = append(a, "-fw_cfg", "name="+name+",file="+escape(filepath.Join(p.fwcfg, strconv.Itoa(i))))
	}
	if words := m.kernelWords(); len(words) > 0 {
		a = append(a, "-smbios", "type=11,value="+escape(stubCmdline+strings.Join(words, " ")))
	}
	return append(a, m.Extra...)
}

func cpuArguments(accel Accel) []string {
	if accel == KVM {
		return []string{"-accel", "kvm", "-cpu", "max"}
	}
	// Five-level page tables cost a step in each emulated page walk. With ERMS and
	// FSRM the kernel and the C library copy and clear byte by byte, which only
	// hardware does fast. With SVM the guest loads its KVM, for nobody.
	return []string{"-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max,la57=off,erms=off,fsrm=off,svm=off"}
}

func diskArguments(m Machine, p places) []string {
	var a []string
	if m.Bus == VirtioSCSI {
		a = append(a, "-device", "virtio-scsi-pci,id=scsi0")
	}
	add := func(i int, file, format, cache string) {
		id := "disk" + strconv.Itoa(i)
		a = append(a, "-drive", fmt.Sprintf("if=none,id=%s,format=%s,discard=unmap,cache=%s,file=%s", id, format, cache, escape(file)))
		device := "virtio-blk-pci,drive=" + id
		if m.Bus == VirtioSCSI {
			device = "scsi-hd,bus=scsi0.0,drive=" + id
		}
		if i == 0 {
			device += ",bootindex=1" // 0 is a kernel's that Extra names
		} else {
			device += ",serial=disk" + strconv.Itoa(i)
		}
		a = append(a, "-device", device)
	}
	// A disk that is thrown away needs no flushes.
	cache := "unsafe"
	if m.Persist {
		cache = "writeback"
	}
	add(0, p.boot, p.bootFormat, cache)
	for i, file := range p.disks {
		add(i+1, file, "raw", "unsafe")
	}
	// Room for devices plugged in later.
	return append(a, "-device", "pcie-root-port,id=hot0,chassis=10", "-device", "pcie-root-port,id=hot1,chassis=11")
}

func networkArguments(m Machine) []string {
	var a []string
	for i := range m.NICs {
		net := fmt.Sprintf("user,id=net%d", i)
		if i == 0 {
			if m.Net != "" {
				net += ",net=" + m.Net
			}
			for _, p := range m.Ports {
				net += fmt.Sprintf(",hostfwd=tcp:127.0.0.1:%d-:%d", p.Host, p.Guest)
			}
			for _, s := range m.Services {
				net += ",guestfwd=tcp:" + s.Guest + "-cmd:" + escape(shellWords(s.Command))
			}
		} else {
			net += fmt.Sprintf(",net=10.0.%d.0/24", 2+i)
		}
		// Without an option ROM the firmware has nothing to run for the card.
		device := fmt.Sprintf("virtio-net-pci,netdev=net%d,romfile=,mac=52:54:00:12:34:%02x", i, 0x56+i)
		a = append(a, "-netdev", net, "-device", device)
	}
	if m.Segment.Port != 0 {
		a = append(a, m.Segment.arguments()...)
	}
	return a
}

func channelArguments(p places) []string {
	a := []string{
		"-chardev", "socket,id=serial0,path=" + escape(p.serial), "-serial", "chardev:serial0",
		"-chardev", "socket,id=qmp0,path=" + escape(p.qmp), "-mon", "chardev=qmp0,mode=control",
		"-chardev", "socket,id=qmp1,server=on,wait=off,path=" + escape(p.monitor), "-mon", "chardev=qmp1,mode=control",
	}
	if p.tpm != "" {
		a = append(a, "-chardev", "socket,id=tpm0,path="+escape(p.tpm),
			"-tpmdev", "emulator,id=tpm0,chardev=tpm0", "-device", "tpm-crb,tpmdev=tpm0")
	}
	return a
}

// escape doubles commas, which separate options.
func escape(s string) string { return strings.ReplaceAll(s, ",", ",,") }

// shellWords joins words so that a POSIX shell's splitting gives them back.
func shellWords(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = Quote(w)
	}
	return strings.Join(quoted, " ")
}

// Quote writes a word so that a POSIX shell reads it back as one word.
func Quote(w string) string {
	if w != "" && strings.Trim(w, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%_-+=:./") == "" {
		return w
	}
	return "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
}

func sortedNames[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}
