package qemu

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// startDeadline is how long QEMU may take to open its console and monitor.
const startDeadline = 30 * time.Second

// VM is a machine that runs. Close it.
type VM struct {
	Machine Machine // as started, with the defaults filled in
	Serial  *Serial
	Monitor *Monitor
	Ports   []Port // Machine.Ports with the real host ports, in their order
	Boot    *Timeline

	dir      string
	qemu     *process
	children []*process
	cancel   context.CancelFunc
	serial   net.Conn
	once     sync.Once
}

// Start starts a machine and returns once its console and monitor are open.
// It ends with ctx, with Close, or by itself.
func Start(ctx context.Context, tools Tools, m Machine) (*VM, error) {
	m, err := m.withDefaults()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "wellcar-vm-")
	if err != nil {
		return nil, fmt.Errorf("making the machine's folder: %w", err)
	}
	life, cancel := context.WithCancel(ctx)
	vm := &VM{Machine: m, Boot: &Timeline{}, dir: dir, cancel: cancel}
	if err := vm.start(life, tools); err != nil {
		vm.Close()
		return nil, fmt.Errorf("starting a machine from %s: %w", m.Image, err)
	}
	return vm, nil
}

func (vm *VM) start(ctx context.Context, tools Tools) error {
	p, err := prepare(ctx, tools, vm.Machine, vm.dir)
	if err != nil {
		return err
	}
	if vm.Machine.TPM {
		if err := vm.startTPM(ctx, tools, p.tpm); err != nil {
			return err
		}
	}
	serial, err := listen(p.serial)
	if err != nil {
		return err
	}
	defer serial.Close()
	qmp, err := listen(p.qmp)
	if err != nil {
		return err
	}
	defer qmp.Close()
	began := time.Now()
	vm.qemu, err = spawn(ctx, tools, []string{"TMPDIR=" + vm.dir}, nil, "qemu-system-x86_64", arguments(vm.Machine, p)...)
	if err != nil {
		return err
	}
	deadline, stop := context.WithTimeout(ctx, startDeadline)
	defer stop()
	return vm.connect(deadline, serial, qmp, began)
}

// connect takes QEMU's calls on the two sockets, then asks for the real ports.
func (vm *VM) connect(ctx context.Context, serial, qmp net.Listener, began time.Time) error {
	var err error
	if vm.serial, err = accept(ctx, serial, vm.qemu); err != nil {
		return err
	}
	vm.Serial = NewSerial(vm.serial, began)
	vm.Serial.Watch(vm.Boot.Observe)
	if vm.Machine.Console != nil {
		vm.Serial.Watch(func(l Line) { fmt.Fprintf(vm.Machine.Console, "%10.3f %s\n", l.At.Seconds(), l.Text) })
	}
	go func() { _, _ = vm.Serial.ReadFrom(vm.serial) }()
	control, err := accept(ctx, qmp, vm.qemu)
	if err != nil {
		return err
	}
	if vm.Monitor, err = NewMonitor(ctx, control); err != nil {
		// A QEMU that dies closes its channels first: its own words explain more.
		select {
		case <-vm.qemu.done:
			return vm.qemu.failure()
		case <-time.After(time.Second):
			return err
		}
	}
	return vm.learnPorts(ctx)
}

// listen opens a socket before the program that calls it exists, so that
// nobody has to wait for it.
func listen(path string) (net.Listener, error) {
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("opening socket %s (its path may have about 100 bytes): %w", path, err)
	}
	return l, nil
}

// accept waits for a call, for the end of the caller, or for the deadline.
func accept(ctx context.Context, l net.Listener, caller *process) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	got := make(chan result, 1)
	go func() {
		conn, err := l.Accept()
		got <- result{conn, err}
	}()
	select {
	case r := <-got:
		return r.conn, r.err
	case <-caller.done:
		return nil, caller.failure()
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for %s to open its channels: %w", caller.name, context.Cause(ctx))
	}
}

// MonitorPath is a socket that speaks QMP, for programs beside this one.
func (vm *VM) MonitorPath() string { return filepath.Join(vm.dir, "monitor") }

// Dir is the machine's folder, removed by Close.
func (vm *VM) Dir() string { return vm.dir }

// Done is closed when QEMU has ended.
func (vm *VM) Done() <-chan struct{} { return vm.qemu.done }

// exited is the reason QEMU ended, or nil while it runs or after a clean end.
func (vm *VM) exited() error {
	if vm.qemu == nil {
		return nil
	}
	select {
	case <-vm.qemu.done:
		if vm.qemu.err == nil {
			return nil
		}
		return vm.qemu.failure()
	default:
		return nil
	}
}

// Wait returns when the machine has been switched off: nil for a clean end.
func (vm *VM) Wait(ctx context.Context) error {
	select {
	case <-vm.qemu.done:
		return vm.exited()
	case <-ctx.Done():
		return fmt.Errorf("waiting for the machine to end: %w", context.Cause(ctx))
	}
}

// Reset presses the reset button.
func (vm *VM) Reset(ctx context.Context) error { return vm.Monitor.Do(ctx, "system_reset", nil, nil) }

// Status is the state of execution: running, paused, internal-error, ...
func (vm *VM) Status(ctx context.Context) (string, error) {
	var s struct{ Status string }
	err := vm.Monitor.Do(ctx, "query-status", nil, &s)
	return s.Status, err
}

// Screendump writes the display, if a device gives it one, to a PNG file.
func (vm *VM) Screendump(ctx context.Context, file string) error {
	return vm.Monitor.Do(ctx, "screendump", map[string]string{"filename": file, "format": "png"}, nil)
}

// Close ends the machine at once and removes its folder. It may be called
// more than once.
func (vm *VM) Close() error {
	var err error
	vm.once.Do(func() {
		vm.quit()
		vm.cancel()
		for _, p := range vm.children {
			p.stop()
		}
		if vm.serial != nil {
			vm.serial.Close()
		}
		err = os.RemoveAll(vm.dir)
	})
	return err
}

// quit lets QEMU write its disks out when they matter, then ends it.
func (vm *VM) quit() {
	if vm.qemu == nil {
		return
	}
	if vm.Monitor != nil {
		if vm.Machine.Persist {
			ctx, stop := context.WithTimeout(context.Background(), 10*time.Second)
			defer stop()
			if vm.Monitor.Do(ctx, "quit", nil, nil) == nil {
				_ = vm.Wait(ctx)
			}
		}
		vm.Monitor.Close()
	}
	vm.qemu.stop()
}
