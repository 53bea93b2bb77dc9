//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"wellcar.dev/internal/format/cmdline"
	"wellcar.dev/internal/metadata"
	"wellcar.dev/internal/provision"
	"wellcar.dev/internal/provision/platform"
	"wellcar.dev/internal/sys/command"
	"wellcar.dev/internal/sys/durable"
)

// metadataTimeout is how long a service may take to answer a request.
const metadataTimeout = 2 * time.Minute

// asking is one run of coreos-metadata.
type asking struct {
	provider, attributes, keysOf, hostname string
	fromCmdline, checkIn                   bool
	cmdlineFile                            string
	errOut                                 io.Writer
}

func runMetadata(ctx context.Context, args []string, _, errOut io.Writer) error {
	if len(args) > 0 && args[0] == "multi" {
		args = args[1:] // the word of afterburn for this
	}
	a := asking{errOut: errOut}
	f := flag.NewFlagSet("coreos-metadata", flag.ContinueOnError)
	f.SetOutput(errOut)
	f.StringVar(&a.provider, "provider", "", "the `platform`: "+strings.Join(metadata.Platforms(), ", "))
	f.BoolVar(&a.fromCmdline, "cmdline", false, "take the platform from the kernel command line (flatcar.oem.id=)")
	f.StringVar(&a.cmdlineFile, "cmdline-file", "/proc/cmdline", "`file` with the kernel command line")
	f.StringVar(&a.attributes, "attributes", "", "`file` to write the attributes to, for EnvironmentFile=")
	f.StringVar(&a.keysOf, "ssh-keys", "", "`user` who gets the SSH keys")
	f.StringVar(&a.hostname, "hostname", "", "`file` to write the host name to")
	f.BoolVar(&a.checkIn, "check-in", false, "tell the platform that the machine has booted")
	if err := parse(f, args); err != nil {
		return err
	}
	if (a.provider == "") != a.fromCmdline {
		fmt.Fprintln(errOut, "coreos-metadata: either --provider or --cmdline is needed")
		return errUsage
	}
	return a.run(ctx)
}

func (a *asking) run(ctx context.Context) error {
	if a.fromCmdline {
		if err := a.findProvider(); err != nil {
			return err
		}
		if !metadata.Known(a.provider) {
			return a.nothing()
		}
	}
	m := metadataMachine(a.provider, metadataTimeout, func(format string, args ...any) {
		fmt.Fprintf(a.errOut, "coreos-metadata: "+format+"\n", args...)
	})
	data, err := metadata.Fetch(ctx, a.provider, m)
	if err != nil {
		return err
	}
	if a.attributes != "" {
		if err := writePublic(a.attributes, data.Environment()); err != nil {
			return fmt.Errorf("writing the attributes: %w", err)
		}
	}
	if a.hostname != "" && data.Hostname != "" {
		if err := writePublic(a.hostname, []byte(metadata.ShortName(data.Hostname)+"\n")); err != nil {
			return fmt.Errorf("writing the host name: %w", err)
		}
	}
	if a.keysOf != "" && len(data.Keys) > 0 {
		if err := giveKeys(ctx, a.keysOf, data.Keys); err != nil {
			return err
		}
	}
	if a.checkIn {
		return data.CheckIn(ctx, m)
	}
	return nil
}

func (a *asking) findProvider() error {
	line, err := os.ReadFile(a.cmdlineFile)
	if err != nil {
		return fmt.Errorf("reading the kernel command line: %w", err)
	}
	a.provider, _ = cmdline.Parse(string(line)).First("flatcar.oem.id", "coreos.oem.id")
	return nil
}

// nothing is for a machine that is on no cloud: units that read the file must
// find one.
func (a *asking) nothing() error {
	fmt.Fprintf(a.errOut, "coreos-metadata: platform %q has no metadata; a drop-in of the unit can write values of your own\n", a.provider)
	if a.attributes == "" {
		return nil
	}
	if err := writePublic(a.attributes, nil); err != nil {
		return fmt.Errorf("writing the attributes: %w", err)
	}
	return nil
}

func writePublic(name string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return durable.WriteFile(name, text, 0o644)
}

// giveKeys adds keys as the user, by the program that is there for it.
func giveKeys(ctx context.Context, user string, keys []string) error {
	_, err := command.Exec(ctx, command.Cmd{
		Path: "update-ssh-keys", Args: []string{"-u", user, "-a", "coreos-metadata"},
		Stdin: strings.NewReader(strings.Join(keys, "\n") + "\n"),
	})
	if err != nil {
		return fmt.Errorf("adding the SSH keys of %s: %w", user, err)
	}
	return nil
}

// metadataMachine lets a platform be asked with the rules of the fetcher.
func metadataMachine(id string, total time.Duration, logf func(string, ...any)) metadata.Machine {
	get := getter(metadata.Canonical(id), total, logf)
	return metadata.Machine{
		Drive: readLabel,
		Get: func(ctx context.Context, r metadata.Request) ([]byte, error) {
			if r.Method == http.MethodPost || r.Method == http.MethodPatch {
				return nil, send(ctx, r)
			}
			c := platform.Call{Method: r.Method, URL: r.URL}
			for name, value := range r.Headers {
				c.Headers = append(c.Headers, provision.Header{Name: name, Value: value})
			}
			data, err := get(ctx, c)
			if errors.Is(err, provision.ErrNotFound) {
				err = fmt.Errorf("%s: %w", r.URL, metadata.ErrNotFound)
			}
			return data, err
		},
	}
}

// readLabel reads a file of the drive with a label.
func readLabel(label, name string) ([]byte, error) {
	all, err := drives()
	if err != nil {
		return nil, err
	}
	for _, d := range all {
		if d.Label != label {
			continue
		}
		data, err := d.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%s on the drive %s: %w", name, label, metadata.ErrNotFound)
		}
		return data, err
	}
	return nil, fmt.Errorf("the drive %s: %w", label, metadata.ErrNotFound)
}

// send sends a request that changes something, once.
func send(ctx context.Context, r metadata.Request) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, r.Method, r.URL, strings.NewReader(r.Body))
	if err != nil {
		return err
	}
	for name, value := range r.Headers {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		return fmt.Errorf("sending to %s: the server answers %s", r.URL, resp.Status)
	}
	return nil
}
