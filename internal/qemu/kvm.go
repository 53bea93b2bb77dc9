package qemu

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// probeDeadline is how long the probe's guest may run; a working one takes a
// tenth of a second.
const probeDeadline = 3 * time.Second

// probeExit is QEMU's exit status when the probe's guest wrote 0x31 to the
// isa-debug-exit device: value*2+1.
const probeExit = 0x31<<1 | 1

// Probe is the answer to "does KVM run guests here?".
type Probe struct {
	OK     bool   `json:"ok"`
	Reason string `json:"reason"`
	Key    string `json:"key"` // the kernel's boot and the QEMU that it holds for
}

// Accel is the accelerator to use.
func (p Probe) Accel() Accel {
	if p.OK {
		return KVM
	}
	return TCG
}

// ProbeKVM finds out whether a guest really runs under KVM: some hosts have
// the device but their guests stop or hang at the first instruction that
// needs more than the basics. The answer is kept in cacheDir (unless that is
// "") until the host or its QEMU changes. A negative answer is no error.
func ProbeKVM(ctx context.Context, tools Tools, cacheDir string) (Probe, error) {
	device, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return Probe{Reason: "no KVM: " + err.Error()}, nil
	}
	device.Close()
	key, err := probeKey(ctx, tools)
	if err != nil {
		return Probe{}, err
	}
	file := filepath.Join(cacheDir, "kvm.json")
	if p, ok := readProbe(file, key); ok && cacheDir != "" {
		return p, nil
	}
	p, err := runProbe(ctx, tools, KVM)
	if err != nil {
		return Probe{}, err
	}
	p.Key = key
	if cacheDir != "" {
		writeProbe(file, p)
	}
	return p, nil
}

// probeKey names the boot of the kernel and the version of QEMU.
func probeKey(ctx context.Context, tools Tools) (string, error) {
	cmd, err := tools.Command(ctx, "qemu-system-x86_64", "--version")
	if err != nil {
		return "", fmt.Errorf("finding QEMU: %w", err)
	}
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("asking QEMU for its version: %w", err)
	}
	version, _, _ := strings.Cut(string(out), "\n")
	boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id") // "" elsewhere than on Linux, where there is no KVM
	return strings.TrimSpace(string(boot)) + " " + version, nil
}

func readProbe(file, key string) (Probe, bool) {
	var p Probe
	data, err := os.ReadFile(file)
	if err != nil || json.Unmarshal(data, &p) != nil {
		return Probe{}, false
	}
	return p, p.Key == key
}

// writeProbe keeps the answer if it can; without it the next start asks again.
func writeProbe(file string, p Probe) {
	data, err := json.Marshal(p)
	if err != nil || os.MkdirAll(filepath.Dir(file), 0o755) != nil {
		return
	}
	_ = os.WriteFile(file, append(data, '\n'), 0o644)
}

// runProbe runs the probe's ROM in place of a firmware.
func runProbe(ctx context.Context, tools Tools, accel Accel) (Probe, error) {
	dir, err := os.MkdirTemp("", "wellcar-kvm-")
	if err != nil {
		return Probe{}, fmt.Errorf("making the probe's folder: %w", err)
	}
	defer os.RemoveAll(dir)
	rom := filepath.Join(dir, "rom")
	if err := os.WriteFile(rom, probeROM(), 0o600); err != nil {
		return Probe{}, fmt.Errorf("writing the probe: %w", err)
	}
	limited, stop := context.WithTimeout(ctx, probeDeadline)
	defer stop()
	args := append(cpuArguments(accel), "-nodefaults", "-no-user-config", "-machine", "q35", "-m", "16", "-display", "none",
		"-bios", rom, "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04")
	p, err := spawn(limited, tools, nil, nil, "qemu-system-x86_64", args...)
	if err != nil {
		return Probe{}, err
	}
	<-p.done
	if err := ctx.Err(); err != nil {
		return Probe{}, fmt.Errorf("probing KVM: %w", err)
	}
	return judge(p, limited.Err() != nil), nil
}

func judge(p *process, late bool) Probe {
	var exit *exec.ExitError
	switch {
	case errors.As(p.err, &exit) && exit.ExitCode() == probeExit:
		return Probe{OK: true, Reason: "a guest runs under KVM"}
	case late:
		return Probe{Reason: fmt.Sprintf("KVM is there but a guest does not run: a probe did not end within %s%s", probeDeadline, lastWords(p))}
	}
	return Probe{Reason: "KVM is there but a guest does not run" + lastWords(p)}
}

func lastWords(p *process) string {
	line, _, _ := strings.Cut(strings.TrimSpace(p.out.String()), "\n")
	if line == "" {
		return ""
	}
	return ": " + line
}

// probeROM is a 64 KiB ROM that sets up the FPU, enters protected mode,
// writes and reads memory, counts to a million and reports success: what a
// host that only emulates single instructions does not get through.
// Reset starts at 0xfffffff0 in real mode (Intel SDM volume 3, 10.1.4).
func probeROM() []byte {
	const (
		base = 0xffff0000 // where the ROM lies
		gdt  = 0x80
		gdtr = 0xa0
		code = 0x20 // the protected mode part
	)
	rom := make([]byte, 64<<10)
	copy(rom[0xfff0:], []byte{0xe9, 0x0d, 0x00}) // jmp 0
	copy(rom, []byte{
		0xfa,       // cli
		0xdb, 0xe3, // fninit
		0x2e, 0x66, 0x0f, 0x01, 0x16, gdtr, 0x00, // lgdt cs:[gdtr]
		0x0f, 0x20, 0xc0, // mov eax, cr0
		0x0c, 0x01, // or al, 1
		0x0f, 0x22, 0xc0, // mov cr0, eax
		0x66, 0xea, code, 0x00, 0xff, 0xff, 0x08, 0x00, // jmp 8:base+code
	})
	copy(rom[code:], []byte{
		0x66, 0xb8, 0x10, 0x00, // mov ax, 16
		0x8e, 0xd8, // mov ds, ax
		0xc7, 0x05, 0x00, 0x80, 0x00, 0x00, 0x78, 0x56, 0x34, 0x12, // mov dword [0x8000], 0x12345678
		0xb9, 0x40, 0x42, 0x0f, 0x00, // mov ecx, 1000000
		0x49,       // again: dec ecx
		0x75, 0xfd, // jnz again
		0x81, 0x3d, 0x00, 0x80, 0x00, 0x00, 0x78, 0x56, 0x34, 0x12, // cmp dword [0x8000], 0x12345678
		0x75, 0x04, // jne halt
		0xb0, 0x31, // mov al, 0x31
		0xe6, 0xf4, // out 0xf4, al
		0xf4,       // halt: hlt
		0xeb, 0xfd, // jmp halt
	})
	for i, segment := range []uint64{0, 0x00cf9a000000ffff, 0x00cf92000000ffff} {
		binary.LittleEndian.PutUint64(rom[gdt+8*i:], segment)
	}
	binary.LittleEndian.PutUint16(rom[gdtr:], 23)
	binary.LittleEndian.PutUint32(rom[gdtr+2:], base+gdt)
	return rom
}
