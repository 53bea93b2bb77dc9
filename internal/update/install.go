//go:build linux

package update

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"wellcar.dev/internal/format/delta"
	"wellcar.dev/internal/format/omaha"
	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/release"
	"wellcar.dev/internal/slot"
	"wellcar.dev/internal/sys/blockdev"
	"wellcar.dev/internal/sys/filelock"
)

// Installer writes a proven release into the slot that does not run and makes
// it start next. The running slot is only read.
//
// The order keeps the machine startable at each instant: first the kernels of
// the other slot go, then the slot is written and its root hash compared, then
// the new kernel is written beside the running one under a name that no boot
// loader takes, and last it gets its name. Each is on the disk before the next.
type Installer struct {
	Boot     Boot
	Prefs    Prefs
	Remote   *Remote // nil: releases are local
	Progress func(done, total int64)
	Logf     func(format string, args ...any)
}

// The prefs that an installation goes on from after a cut.
const (
	prefNext   = "update-state-next-operation"
	prefTarget = "update-check-response-hash" // SHA-256 of the payload in work
)

// job is one installation.
type job struct {
	*Installer
	rel    Verified
	state  slot.State
	parts  map[slot.ID]blockdev.Device
	device *os.File // the other slot
}

// lockFile keeps two installations apart.
const lockFile = "run/wellcar-update.lock"

func (in *Installer) lock() (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(in.Boot.Root, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fail(omaha.CodeInstallDevice, "installing: %w", err)
	}
	if err := filelock.Try(f); err != nil {
		f.Close()
		return nil, fail(omaha.CodeInstallDevice, "installing: another program is at it: %w", err)
	}
	return f, nil
}

// Install does it. The note says which payload was taken and why.
func (in *Installer) Install(ctx context.Context, rel Verified) (note string, err error) {
	lock, err := in.lock()
	if err != nil {
		return "", err
	}
	defer lock.Close()
	j := &job{Installer: in, rel: rel}
	m := rel.Manifest
	if j.state, err = in.Boot.State(); err != nil {
		return "", fail(omaha.CodeInstallDevice, "%w", err)
	}
	if j.parts, _, err = in.Boot.Devices(); err != nil {
		return "", fail(omaha.CodeInstallDevice, "%w", err)
	}
	name, before, err := slot.Activate(j.state, m.Version, hashOf(m.RootHash))
	if err != nil {
		return "", fail(omaha.CodeInstallDevice, "%w", err)
	}
	if err := j.prepare(); err != nil {
		return "", err
	}
	if err := j.open(); err != nil {
		return "", err
	}
	defer j.device.Close()
	kernel, note, err := j.payloads(ctx)
	if err != nil {
		return "", err
	}
	return note, j.activate(kernel, name, before)
}

// prepare checks all that can be checked, and only then takes away what
// starts the other slot.
func (j *job) prepare() error {
	m := j.rel.Manifest
	if err := j.Boot.ESP.Tidy(); err != nil {
		return fail(omaha.CodeKernelDevice, "%w", err)
	}
	dev, ok := j.parts[j.state.Booted.Other()]
	if need := m.UsrSize + m.TreeSize; !ok || dev.Size < need {
		return fail(omaha.CodeInstallDevice, "checking slot %s: the new /usr needs %d bytes, the partition has %d; nothing was changed yet", j.state.Booted.Other(), need, dev.Size)
	}
	if err := j.Prefs.room(); err != nil {
		return fail(omaha.CodeWrite, "%w; nothing was changed yet", err)
	}
	doomed := slot.Clear(j.state)
	if err := j.Boot.ESP.CheckRoom(m.UKISize-j.Boot.old().Room(), doomed); err != nil {
		return fail(omaha.CodeKernelDevice, "%w", err)
	}
	if err := j.Boot.old().Retire(); err != nil {
		return fail(omaha.CodeKernelDevice, "%w", err)
	}
	if err := j.Boot.ESP.Do(doomed); err != nil {
		return fail(omaha.CodeKernelDevice, "%w", err)
	}
	return nil
}

func (j *job) open() (err error) {
	dev := j.parts[j.state.Booted.Other()]
	if j.device, err = os.OpenFile(filepath.Join(j.Boot.Root, dev.Path), os.O_RDWR, 0); err != nil {
		return fail(omaha.CodeInstallDevice, "opening slot %s: %w", j.state.Booted.Other(), err)
	}
	return nil
}

// payloads takes the delta from the running release, and the full payload if
// there is none or it does not work out.
func (j *job) payloads(ctx context.Context) (kernel []byte, note string, err error) {
	note = "no delta from the running release"
	if p, ok := j.rel.Manifest.Find(release.Delta, hex.EncodeToString(j.state.Running[:])); ok {
		if kernel, err = j.apply(ctx, p); err == nil {
			return kernel, fmt.Sprintf("by the delta %s of %d bytes", p.Name, p.Size), nil
		}
		if ctx.Err() != nil {
			return nil, "", err
		}
		note = fmt.Sprintf("the delta %s did not work out: %v", p.Name, err)
		j.Logf("%s", note)
	}
	p, ok := j.rel.Manifest.Find(release.Full, "")
	if !ok {
		return nil, "", fail(omaha.CodePayloadVerify, "installing %s: %s, and the release has no full payload", j.rel.Manifest.Version, note)
	}
	kernel, err = j.apply(ctx, p)
	return kernel, fmt.Sprintf("by the full payload of %d bytes (%s)", p.Size, note), err
}

// apply makes slot and kernel from one payload.
func (j *job) apply(ctx context.Context, p release.Payload) (kernel []byte, err error) {
	src, err := j.source(p)
	if err != nil {
		return nil, err
	}
	defer src.close()
	head, err := j.readHead(ctx, src, p)
	if err != nil {
		return nil, err
	}
	a, closeOld, err := j.applier(head)
	if err != nil {
		return nil, err
	}
	defer closeOld()
	if p.Kind == release.Full {
		j.reuse(ctx, a)
	}
	if err := a.CheckOld(); err != nil {
		return nil, fail(omaha.CodePayloadVerify, "%w", err)
	}
	src.moved(head.Size, p.Size, j.Progress)
	var buf []byte
	end := int64(0)
	fetch := func(ctx context.Context, number int, s delta.Segment) ([]byte, error) {
		if s.Offset >= end {
			end = a.RunEnd(number)
			src.until(end)
		}
		buf = slices.Grow(buf[:0], int(s.Stored))[:s.Stored]
		return buf, src.read(ctx, buf, s.Offset)
	}
	if err := a.Slot(ctx, j.resume(p, head), fetch, j.keep(p, head), layout.VerityUUID); err != nil {
		if errors.Is(err, delta.ErrWrongNew) {
			j.forget()
		}
		return nil, coded(omaha.CodeNewRootfs, err)
	}
	if err := j.sync(); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := a.Kernel(ctx, fetch, &out); err != nil {
		return nil, coded(omaha.CodeNewKernel, err)
	}
	return out.Bytes(), nil
}

// sync waits until the slot is on the disk.
func (j *job) sync() error {
	if err := j.device.Sync(); err != nil {
		return fail(omaha.CodeWrite, "writing slot %s: %w", j.state.Booted.Other(), err)
	}
	j.Boot.ESP.synced()
	return nil
}

func coded(code omaha.Code, err error) error {
	var f *Failure
	if errors.As(err, &f) {
		return err
	}
	return &Failure{code, err}
}

func (j *job) readHead(ctx context.Context, src source, p release.Payload) (delta.Head, error) {
	raw := make([]byte, p.HeadSize)
	if err := src.read(ctx, raw, 0); err != nil {
		return delta.Head{}, err
	}
	if err := sameHead(p, raw); err != nil {
		return delta.Head{}, err
	}
	head, err := delta.ParseHead(raw)
	if err != nil {
		return head, fail(omaha.CodePayloadVerify, "%w", err)
	}
	m := j.rel.Manifest
	to := delta.Release{RootHash: hashOf(m.RootHash), Salt: hashOf(m.Salt), UsrSize: m.UsrSize, UKISize: m.UKISize, UKIHash: hashOf(m.UKIHash)}
	if head.To != to || head.Total() != p.Size || (head.Kind == delta.Delta) != (p.Kind == release.Delta) {
		return head, fail(omaha.CodePayloadVerify, "checking %s: it makes another release than the manifest says", p.Name)
	}
	return head, nil
}

// applier opens what a delta starts from.
func (j *job) applier(head delta.Head) (a *delta.Applier, closeOld func(), err error) {
	a = &delta.Applier{Head: head, New: j.device}
	old, err := os.Open(filepath.Join(j.Boot.Root, j.parts[j.state.Booted].Path))
	if err != nil {
		return nil, nil, fail(omaha.CodeInstallDevice, "opening the running slot: %w", err)
	}
	k, _ := j.state.RunningKernel()
	uki, err := os.Open(j.Boot.ESP.path(k.File()))
	if err != nil {
		old.Close()
		return nil, nil, fail(omaha.CodeKernelDevice, "opening the running kernel: %w", err)
	}
	info, err := uki.Stat()
	if err != nil {
		return nil, nil, errors.Join(err, old.Close(), uki.Close())
	}
	a.Old, a.OldUKI, a.OldUKISize = old, uki, info.Size()
	return a, func() { old.Close(); uki.Close() }, nil
}

// reuse leaves out of a full payload what the running release has, by the
// block index. Without one, or if something is wrong with it, the payload is
// fetched as a whole.
func (j *job) reuse(ctx context.Context, a *delta.Applier) {
	p, ok := j.rel.Manifest.Find(release.Index, "")
	if !ok || j.Remote == nil || p.Size > maxIndex {
		return
	}
	if err := j.readIndex(ctx, a, p); err != nil {
		j.Logf("fetching the whole payload: %v", err)
		return
	}
	j.Logf("the running release has a part of the new one: %d bytes are to be fetched", a.Reuse.Needs(a.Head))
}

// maxIndex is the size of the largest index that is read, bytes.
const maxIndex = 16 << 20

func (j *job) readIndex(ctx context.Context, a *delta.Applier, p release.Payload) error {
	data, err := j.Remote.small(ctx, omaha.Join(j.rel.Base, p.Name), p.Size)
	if err != nil {
		return err
	}
	if err := p.CheckFile(bytes.NewReader(data)); err != nil {
		return err
	}
	x, err := delta.ParseIndex(data, a.Head)
	if err != nil {
		return err
	}
	size, err := usrSize(a.Old)
	if err != nil {
		return err
	}
	a.Reuse, err = delta.NewReuse(x, a.Head.To, a.Old, size, a.OldUKI, a.OldUKISize)
	return err
}

// resume is the segment to go on from: not the first, if the last attempt was
// at the same payload.
func (j *job) resume(p release.Payload, head delta.Head) int {
	target, _ := j.Prefs.Get(prefTarget)
	text, _ := j.Prefs.Get(prefNext)
	next, err := strconv.Atoi(text)
	if err != nil || target != p.SHA256 || next < 0 || next > len(head.Segments) {
		return 0
	}
	if next > 0 {
		j.Logf("going on with %s at segment %d of %d", p.Name, next, len(head.Segments))
	}
	return next
}

// stride is how much is written between two syncs, bytes.
const stride = 16 << 20

// keep notes progress, after it is on the disk.
func (j *job) keep(p release.Payload, head delta.Head) func(next int) error {
	if target, _ := j.Prefs.Get(prefTarget); target != p.SHA256 {
		j.forget()
	}
	if err := j.Prefs.Set(prefTarget, p.SHA256); err != nil {
		j.Logf("%v", err)
	}
	return func(next int) error {
		s := head.Segments[next-1]
		if s.Start/stride == (s.Start+s.Size)/stride {
			return nil
		}
		if err := j.sync(); err != nil {
			return err
		}
		if err := j.Prefs.Set(prefNext, strconv.Itoa(next)); err != nil {
			j.Logf("%v", err)
		}
		return nil
	}
}

func (j *job) forget() {
	if err := j.Prefs.Set(prefNext, "0"); err != nil {
		j.Logf("%v", err)
	}
}

// activate writes the kernel and gives it its name.
func (j *job) activate(kernel []byte, name slot.Name, before []slot.Change) error {
	esp := j.Boot.ESP
	activate, err := esp.Stage(bytes.NewReader(kernel), name)
	if err != nil {
		return fail(omaha.CodeKernelDevice, "%w", err)
	}
	if err := esp.sync(); err != nil {
		return fail(omaha.CodeKernelDevice, "%w", err)
	}
	if err := activate(); err != nil {
		return fail(omaha.CodeKernelDevice, "%w", err)
	}
	if err := esp.Do(before); err != nil { // behind it: at no time is there nothing to start
		return fail(omaha.CodeKernelDevice, "%w", err)
	}
	j.forget()
	return nil
}

// source is where the bytes of a payload come from.
type source interface {
	read(ctx context.Context, p []byte, offset int64) error
	until(end int64)
	moved(done, total int64, report func(done, total int64))
	close()
}

func (j *job) source(p release.Payload) (source, error) {
	name, at := j.rel.place(p)
	if j.Remote != nil {
		return &stream{remote: j.Remote, url: omaha.Join(j.rel.Base, name), base: at}, nil
	}
	f, err := os.Open(filepath.Join(j.rel.Base, name))
	if err != nil {
		return nil, fail(omaha.CodeDownload, "opening the payload: %w", err)
	}
	return &localFile{f: f, base: at}, nil
}

// localFile is a payload on the machine.
type localFile struct {
	f           *os.File
	base        int64
	done, total int64
	report      func(done, total int64)
}

func (l *localFile) read(_ context.Context, p []byte, offset int64) error {
	if _, err := io.ReadFull(io.NewSectionReader(l.f, l.base+offset, int64(len(p))), p); err != nil {
		return fail(omaha.CodeDownload, "reading %s: %w", l.f.Name(), err)
	}
	l.done += int64(len(p))
	if l.report != nil {
		l.report(l.done, l.total)
	}
	return nil
}

func (l *localFile) until(int64) {}

func (l *localFile) moved(done, total int64, report func(done, total int64)) {
	l.done, l.total, l.report = done, total, report
}

func (l *localFile) close() { l.f.Close() }
