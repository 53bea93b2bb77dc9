package hvkvp

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// Device is where the kernel module hv_utils passes messages.
const Device = "/dev/vmbus/hv_kvp"

// quiet is how long nothing must come until the host is taken to be done.
const quiet = time.Second

// Read registers and takes all that the host sends.
func Read(ctx context.Context) ([]Entry, error) {
	f, err := os.OpenFile(Device, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("opening the channel to the host: %w", err)
	}
	defer f.Close()
	if _, err := f.Write(register()); err != nil {
		return nil, fmt.Errorf("registering with the host: %w", err)
	}
	return receive(ctx, f, quiet)
}

func receive(ctx context.Context, f *os.File, quiet time.Duration) ([]Entry, error) {
	var all []Entry
	m := make([]byte, messageSize)
	for ctx.Err() == nil {
		if err := f.SetReadDeadline(time.Now().Add(quiet)); err != nil {
			return nil, fmt.Errorf("waiting for the host: %w", err)
		}
		n, err := f.Read(m)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading from the host: %w", err)
		}
		if m[0] == version1 || m[0] == opRegister {
			continue // the host's version; not to be answered
		}
		e, set, err := parse(m[:n])
		if err != nil {
			return nil, err
		}
		if set {
			all = append(all, e)
		}
		if _, err := f.Write(answer()); err != nil {
			return nil, fmt.Errorf("answering the host: %w", err)
		}
	}
	return nil, context.Cause(ctx)
}
