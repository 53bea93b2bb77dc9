package platform

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"wellcar.dev/internal/provision"
)

// Cloud is what the sources of clouds use, each as a small function so that
// tests hand in fakes. A function that is nil is not available: a source that
// needs it says so.
type Cloud struct {
	// Get takes an HTTP request with the rules of provision/fetch. A 404 is
	// provision.ErrNotFound.
	Get func(ctx context.Context, c Call) ([]byte, error)
	// Drives are the file systems with a label that are there now.
	Drives func() ([]Drive, error)
	// Sleep pauses; nil means by the clock.
	Sleep func(ctx context.Context, d time.Duration) error
	// Load loads a kernel module; nil means that all are built in.
	Load func(module string) error
	// Interfaces are the names of the network interfaces that have an IPv6
	// address.
	Interfaces func() ([]string, error)
	// DHCPServer is the address that a lease names, "" while there is no lease.
	DHCPServer func() (string, error)
	// OpenDisk opens the virtio disk with a serial.
	OpenDisk func(serial string) (io.ReadCloser, error)
	// Dial opens a connection to a port of the host over vsock.
	Dial func(ctx context.Context, port uint32) (io.ReadWriteCloser, error)
	// Guestinfo reads a key of VMware's, without the prefix guestinfo; "" is a
	// key that does not exist.
	Guestinfo func(key string) (string, error)
	// SetGuestinfo writes one.
	SetGuestinfo func(key, value string) error
	// Property reads a guest property of VirtualBox's; nil is one that does
	// not exist.
	Property func(name string) ([]byte, error)
	// DeleteProperty deletes one.
	DeleteProperty func(name string) error
	// Pools are the key-value pairs of Hyper-V, by the number of their pool.
	Pools func(ctx context.Context) (map[int][]Pair, error)
	// Run runs a program and returns what it printed.
	Run func(ctx context.Context, name string, args ...string) ([]byte, error)
	// Post sends a message once.
	Post func(ctx context.Context, url string, body []byte) error
}

// Call is an HTTP request.
type Call struct {
	Method  string // "": GET
	URL     string
	Headers []provision.Header
	Retry   []int // statuses below 500 after which the server is asked again
	LowPort bool  // from a random port of 1 to 1022
}

// Drive is a file system with a label.
type Drive struct {
	Name  string // the device, for people
	Label string
	Type  string // vfat, iso9660, udf
	// ReadFile reads a file by its absolute path.
	ReadFile func(name string) ([]byte, error)
}

// get takes a request, or says that it cannot.
func (env Env) get(ctx context.Context, c Call) ([]byte, error) {
	if env.Offline || env.Get == nil {
		return nil, fmt.Errorf("fetching %s: %w", c.URL, provision.ErrNeedsNetwork)
	}
	return env.Get(ctx, c)
}

func (env Env) sleep(ctx context.Context, d time.Duration) error {
	if env.Sleep != nil {
		return env.Sleep(ctx, d)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (env Env) load(module string) error {
	if env.Load == nil {
		return nil
	}
	if err := env.Load(module); err != nil {
		return fmt.Errorf("loading the kernel module %s: %w", module, err)
	}
	return nil
}

// missing says that this machine does not have what a source reads.
func missing(what string) error { return fmt.Errorf("this machine has no %s", what) }

// forEver is a number of tries that never runs out.
const forEver = 1 << 62

// errLate ends a wait that had its number of tries.
var errLate = errors.New("it did not appear in time")

// poll tries something until it is done.
func (env Env) poll(ctx context.Context, every time.Duration, tries int, try func() (done bool, err error)) error {
	for i := 0; i < tries; i++ {
		done, err := try()
		if done || err != nil {
			return err
		}
		if err := env.sleep(ctx, every); err != nil {
			return err
		}
	}
	return errLate
}

// drive waits for a file system by its label and reads a file of it. A file
// that is not there is no config.
func (env Env) drive(ctx context.Context, label string, tries int, names ...string) (Found, error) {
	found := Found{Name: "drive " + label}
	d, err := env.labelled(ctx, label, tries)
	if err != nil {
		return found, fmt.Errorf("waiting for the drive %s: %w", label, err)
	}
	for _, name := range names {
		data, err := d.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return found, fmt.Errorf("reading %s of %s (%s): %w", name, d.Name, label, err)
		}
		if found = (Found{Name: "drive " + label + " " + name, Data: data}); !skipped(data) {
			return found, nil
		}
	}
	return Found{Name: found.Name}, nil
}

func (env Env) labelled(ctx context.Context, label string, tries int) (d Drive, err error) {
	if env.Drives == nil {
		return d, missing("drives")
	}
	err = env.poll(ctx, time.Second, tries, func() (bool, error) {
		drives, err := env.Drives()
		for _, one := range drives {
			if one.Label == label {
				d = one
				return true, nil
			}
		}
		return false, err
	})
	return d, err
}

// try is one of several ways to get a config.
type try func(ctx context.Context) (Found, error)

// first takes several ways at once. The first answer wins, also if it is that
// there is no config; the others are ended and waited for.
func first(ctx context.Context, ways ...try) (Found, error) {
	type answer struct {
		found Found
		err   error
	}
	ctx, cancel := context.WithCancel(ctx)
	answers := make(chan answer)
	for _, way := range ways {
		go func() {
			found, err := way(ctx)
			answers <- answer{found, err}
		}()
	}
	var won *answer
	var errs []error
	for range ways {
		a := <-answers
		switch {
		case a.err != nil && won == nil:
			errs = append(errs, a.err)
		case a.err == nil && won == nil:
			won = &a
			cancel()
		}
	}
	cancel()
	if won != nil {
		return won.found, nil
	}
	return Found{}, errors.Join(errs...)
}
