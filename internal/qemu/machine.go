// Package qemu starts virtual machines and talks to them: firmware, disks,
// network, TPM, serial console, monitor and SSH. `wellcar run`, the pages and
// the tests of the project boot their machines through it.
//
// Every program it runs comes from a Tools set, so that nothing has to be
// installed on the host. A machine lives in a temporary folder that goes away
// with it; its processes form a group of their own and die with the caller.
//
// Design: sections 3, 6 and 10. Limits: x86-64 guests; user networking, and
// segments between machines of one host. Monitor protocol: QEMU Machine Protocol
// (https://www.qemu.org/docs/master/interop/qmp-spec.html).
//
//	vm, err := qemu.Start(ctx, tools, qemu.Machine{Image: "disk.img"})
//	defer vm.Close()
//	_, err = vm.Serial.WaitFor(ctx, regexp.MustCompile(`login:`))
package qemu

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"strings"
)

// Tools finds the programs and data files that a machine is made of.
type Tools interface {
	// Command prepares a program of the set; the caller may add attributes before starting it.
	Command(ctx context.Context, name string, args ...string) (*exec.Cmd, error)
	// Path is the host path of a file of the set, for example "usr/share/OVMF/OVMF_CODE_4M.fd".
	Path(rel string) string
}

// Port is a TCP port of the host's loopback that leads to one of the guest.
type Port struct {
	Host  int // 0: any free one; VM.Ports has the real one
	Guest int
}

// String is the form of the --port flag.
func (p Port) String() string { return fmt.Sprintf("%d:%d", p.Host, p.Guest) }

// Service is an address inside the guest's network behind which a program of
// the host answers, one process per connection with the connection as its
// standard input and output.
type Service struct {
	Guest   string   // address and port that the guest dials: 10.0.2.100:5000
	Command []string // program and arguments, absolute
}

// Accel names how guest code is executed.
type Accel string

// The ways of execution. Auto becomes one of the others by ProbeKVM.
const (
	Auto Accel = "auto"
	KVM  Accel = "kvm"
	TCG  Accel = "tcg"
)

// ParseAccel reads the --accel flag.
func ParseAccel(s string) (Accel, error) {
	switch a := Accel(s); a {
	case Auto, KVM, TCG:
		return a, nil
	}
	return "", fmt.Errorf("unknown accelerator %q: use auto, kvm or tcg", s)
}

// Firmware is what a machine starts with. The empty value means UEFI.
type Firmware string

// The kinds of firmware.
const (
	UEFI Firmware = "uefi"
	BIOS Firmware = "bios"
)

// ParseFirmware reads the --firmware flag.
func ParseFirmware(s string) (Firmware, error) {
	switch f := Firmware(s); f {
	case UEFI, BIOS:
		return f, nil
	}
	return "", fmt.Errorf("unknown firmware %q: use uefi or bios", s)
}

// Bus is how disks are attached.
type Bus string

// The buses. The empty value means VirtioBlk.
const (
	VirtioBlk  Bus = "virtio-blk"
	VirtioSCSI Bus = "virtio-scsi"
)

// HostAddress is where the user network of a machine shows the loopback of the
// host (https://www.qemu.org/docs/master/system/devices/net.html).
const HostAddress = "10.0.2.2"

// Machine is what to start. The zero value of a field means its default.
type Machine struct {
	Image    string // raw disk image to boot from
	DiskSize int64  // bytes the guest sees as the size of that disk; 0: the image's
	Persist  bool   // write to Image itself; otherwise changes are dropped at the end
	Bus      Bus    // of all disks
	Firmware Firmware
	Disks    []int64 // sizes in bytes of further, empty disks
	Memory   int     // MiB; 0: 2048
	CPUs     int     // 0: ShareOfCPUs of one machine
	NICs     int     // 0: one; the forwarded ports belong to the first
	TPM      bool    // a TPM 2.0
	Accel    Accel   // "": Auto, decided by the caller through ProbeKVM; Start treats it as TCG

	Segment    Segment // of one more card, behind the others
	Net        string  // network of the first card, such as 169.254.0.0/16; "": QEMU's own, 10.0.2.0/24
	Ports      []Port
	Services   []Service
	FwCfg      map[string][]byte // firmware configuration files: opt/org.flatcar-linux/config
	KernelArgs []string          // words added to the UKI's command line through SMBIOS
	Extra      []string          // raw QEMU arguments, last

	Console io.Writer                        // gets the serial console's lines with time stamps; may be nil
	Logf    func(format string, args ...any) // nil: silent
}

// ShareOfCPUs is how many CPUs of a host one of some machines gets, at most 4. If
// all machines together have more than the host, emulated CPUs wait for each
// other: in the kernel's locks, and for answers to interrupts between them.
func ShareOfCPUs(host, machines int) int {
	return min(4, max(1, host/max(1, machines)))
}

// withDefaults fills in what the caller left out, and refuses what cannot work.
func (m Machine) withDefaults() (Machine, error) {
	if m.Image == "" {
		return m, fmt.Errorf("starting a machine: it has no disk image")
	}
	if m.Memory == 0 {
		m.Memory = 2048
	}
	if m.CPUs == 0 {
		m.CPUs = ShareOfCPUs(runtime.NumCPU(), 1)
	}
	if m.NICs == 0 {
		m.NICs = 1
	}
	if m.Firmware == "" {
		m.Firmware = UEFI
	}
	if m.Bus == "" {
		m.Bus = VirtioBlk
	}
	if m.Accel == "" || m.Accel == Auto {
		m.Accel = TCG
	}
	if m.Logf == nil {
		m.Logf = func(string, ...any) {}
	}
	var err error
	if m.Segment, err = m.Segment.withDefaults(); err != nil {
		return m, err
	}
	for name := range m.FwCfg {
		if !strings.HasPrefix(name, "opt/") || strings.Contains(name, ",") || len(name) > 55 {
			return m, fmt.Errorf("starting a machine: firmware file %q: the name must begin with opt/, have no comma and at most 55 bytes", name)
		}
	}
	if m.Memory < 0 || m.CPUs < 0 || m.NICs < 0 || m.NICs > 8 {
		return m, fmt.Errorf("starting a machine: %d MiB, %d CPUs and %d network cards make no machine", m.Memory, m.CPUs, m.NICs)
	}
	return m, nil
}
