//go:build linux

package update

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"wellcar.dev/internal/format/delta"
	"wellcar.dev/internal/format/omaha"
	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/release"
)

// The prefs that an installation goes on from after a cut.
const (
	prefNext   = "update-state-next-operation"
	prefTarget = "update-check-response-hash" // SHA-256 of the payload in work
)

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
	if codeOf(err) != 0 {
		return err
	}
	return &Failure{code, err}
}

func (j *job) readHead(ctx context.Context, src source, p release.Payload) (delta.Head, error) {
	if head, ok := j.heads[p.Name]; ok {
		return head, nil
	}
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
	j.heads[p.Name] = head
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
