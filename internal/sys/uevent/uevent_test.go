//go:build linux

package uevent

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	got, ok := Parse([]byte("add@/devices/pci0/virtio1\x00ACTION=add\x00SUBSYSTEM=virtio\x00MODALIAS=virtio:d00000002v00001AF4\x00"))
	want := Event{Action: "add", DevPath: "/devices/pci0/virtio1", Env: map[string]string{
		"ACTION": "add", "SUBSYSTEM": "virtio", "MODALIAS": "virtio:d00000002v00001AF4"}}
	if diff := cmp.Diff(want, got); diff != "" || !ok {
		t.Error(ok, diff)
	}
	for _, bad := range []string{"", "libudev\x00\xfe\xed", "@", "\x00\x00"} {
		if e, ok := Parse([]byte(bad)); ok {
			t.Errorf("Parse(%q) = %v, want it refused", bad, e)
		}
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	l, err := Listen()
	if err != nil {
		t.Skip(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	// Events of the machine that runs the test may come first.
	for err == nil {
		_, err = l.Wait(ctx)
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Wait on an ended context: %v", err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	for err = nil; err == nil; {
		_, err = l.Wait(ctx)
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Wait beyond the deadline: %v", err)
	}
}
