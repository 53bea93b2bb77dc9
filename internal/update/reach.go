//go:build linux

package update

import (
	"context"
	"encoding/hex"
	"errors"

	"wellcar.dev/internal/format/omaha"
	"wellcar.dev/internal/release"
)

// reach proves that a payload is there and begins as the manifest says, before
// the way back is given up for it. Its head is kept.
func (j *job) reach(ctx context.Context) error {
	var errs []error
	for _, of := range []struct {
		kind release.Kind
		from string
	}{{release.Delta, hex.EncodeToString(j.state.Running[:])}, {release.Full, ""}} {
		p, ok := j.rel.Manifest.Find(of.kind, of.from)
		if !ok {
			continue
		}
		err := j.reachOne(ctx, p)
		if err == nil || ctx.Err() != nil {
			return err
		}
		errs = append(errs, err)
	}
	if len(errs) == 0 {
		return fail(omaha.CodePayloadVerify, "installing %s: the release has neither a delta from the running one nor a full payload; nothing was changed yet", j.rel.Manifest.Version)
	}
	return errors.Join(errs...)
}

func (j *job) reachOne(ctx context.Context, p release.Payload) error {
	src, err := j.source(p)
	if err != nil {
		return err
	}
	defer src.close()
	if _, err = j.readHead(ctx, src, p); err != nil {
		return err
	}
	if l, ok := src.(*localFile); ok {
		return l.read(ctx, make([]byte, 1), p.Size-1) // a copy that was cut has no end
	}
	return nil
}
