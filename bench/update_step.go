package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"wellcar.dev/internal/format/delta"
	"wellcar.dev/internal/image/payload"
	"wellcar.dev/internal/image/publish"
	"wellcar.dev/internal/layout"
)

// updateStepWord is the first word of a process that does one step of an
// update and prints {"Bytes": N}.
const updateStepWord = "update-step"

func updateStep(ctx context.Context, args []string) error {
	if len(args) < 4 {
		return fmt.Errorf("%s needs a step, two builds and a file", updateStepWord)
	}
	old, closeOld, err := publish.OpenImage(args[1])
	if err != nil {
		return err
	}
	defer closeOld()
	next, closeNext, err := publish.OpenImage(args[2])
	if err != nil {
		return err
	}
	defer closeNext()
	n := int64(0)
	switch args[0] {
	case "make-delta", "make-full":
		n, err = makePayload(ctx, args[0] == "make-full", old, next, args[3])
	case "apply":
		err = applyPayload(ctx, old, args[3], args[4])
	case "needs":
		n, err = needs(old, args[3])
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(struct{ Bytes int64 }{n})
}

func makePayload(ctx context.Context, full bool, old, next payload.Image, name string) (int64, error) {
	f, err := os.Create(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var stats payload.Stats
	if !full {
		stats, err = payload.Delta(ctx, old, next, f, payload.Options{})
		return stats.Total(), err
	}
	var index bytes.Buffer
	if stats, err = payload.Full(ctx, next, f, &index, payload.Options{}); err != nil {
		return 0, err
	}
	return stats.Total(), os.WriteFile(name+".index", index.Bytes(), 0o644)
}

// memoryLimit makes the garbage collector work when there is more: bytes.
const memoryLimit = 64 << 20

// applyPayload does what a machine does, with a file as its slot.
func applyPayload(ctx context.Context, old payload.Image, name, slot string) error {
	debug.SetMemoryLimit(memoryLimit)
	f, h, err := openPayload(name)
	if err != nil {
		return err
	}
	defer f.Close()
	out, err := os.Create(slot)
	if err != nil {
		return err
	}
	defer os.Remove(slot)
	defer out.Close()
	a := delta.Applier{Head: h, Old: old.Usr, OldUKI: old.UKI, OldUKISize: old.Release.UKISize, New: out}
	if err := a.CheckOld(); err != nil {
		return err
	}
	if err := a.Slot(ctx, 0, delta.FetchFrom(f), nil, layout.VerityUUID); err != nil {
		return err
	}
	return a.Kernel(ctx, delta.FetchFrom(f), io.Discard)
}

func openPayload(name string) (*os.File, delta.Head, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, delta.Head{}, err
	}
	head := make([]byte, delta.MaxHead)
	n, err := f.ReadAt(head, 0)
	if err == io.EOF {
		err = nil
	}
	var h delta.Head
	if err == nil {
		h, err = delta.ParseHead(head[:n])
	}
	if err != nil {
		f.Close()
	}
	return f, h, err
}

// needs counts what a machine with the old release fetches by the index.
func needs(old payload.Image, name string) (int64, error) {
	f, h, err := openPayload(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	data, err := os.ReadFile(name + ".index")
	if err != nil {
		return 0, err
	}
	x, err := delta.ParseIndex(data, h)
	if err != nil {
		return 0, err
	}
	r, err := delta.NewReuse(x, h.To, old.Usr, old.Release.UsrSize, old.UKI, old.Release.UKISize)
	if err != nil {
		return 0, err
	}
	return r.Needs(h) + h.Size + int64(len(data)), nil
}
