package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"wellcar.dev/internal/qemu"
	"wellcar.dev/internal/qemu/registry"
)

// registryAddress is where a machine finds the host's image registry.
const registryAddress = "10.0.2.100:5000"

// configName is the firmware file that a machine is provisioned from.
const configName = "opt/org.flatcar-linux/config"

// sourceName is the firmware file with the text that the config was made of.
const sourceName = "opt/wellcar/source"

// host is what the machines of one command share.
type host struct {
	app   *app
	tools qemu.Tools
	image builtImage
	self  string // this program

	mu      sync.Mutex // machines of pages start at the same time
	probe   *qemu.Probe
	server  *registry.Server // nil without images to serve
	closers []func()
}

// prepareHost gets tools, image and registry ready. image names a disk to use
// instead of the built one.
func prepareHost(ctx context.Context, a *app, image string) (*host, error) {
	h := &host{app: a}
	if a.joins.tools == nil {
		return nil, fmt.Errorf("getting the tool set: %w", errNoEngine)
	}
	var err error
	if h.self, err = os.Executable(); err != nil {
		return nil, fmt.Errorf("finding this program: %w", err)
	}
	if h.tools, err = a.joins.tools(ctx, a.show.progress); err != nil {
		return nil, err
	}
	switch {
	case image != "":
		h.image = builtImage{Path: image}
	case a.joins.image == nil:
		return nil, fmt.Errorf("building the image: %w; name one with --image", errNoEngine)
	default:
		if h.image, err = a.joins.image(ctx, a.show.progress); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// serve starts the image registry once.
func (h *host) serve(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.server != nil {
		return nil
	}
	images, err := h.app.joins.containers(ctx, h.app.show.progress)
	if err != nil {
		return err
	}
	if h.server, err = registry.Serve(ctx, images); err != nil {
		return err
	}
	h.closers = append(h.closers, func() { h.server.Close() })
	return nil
}

func (h *host) close() {
	for _, f := range h.closers {
		f()
	}
}

// accel decides the accelerator and says which and why, once.
func (h *host) accel(ctx context.Context, wanted qemu.Accel) (qemu.Accel, error) {
	if wanted != qemu.Auto {
		return wanted, nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.probe == nil {
		cache, err := cacheDir()
		if err != nil {
			return "", err
		}
		probe, err := qemu.ProbeKVM(ctx, h.tools, cache)
		if err != nil {
			return "", err
		}
		h.probe = &probe
		h.app.show.note("accelerator: %s (%s)", probe.Accel(), probe.Reason)
	}
	return h.probe.Accel(), nil
}

// bootOptions are what a machine is booted with beside its hardware.
type bootOptions struct {
	config   string   // name of text, for positions
	text     []byte   // Butane or Ignition; nil: none
	sshKey   string   // private key file; "": a new key
	log      string   // file for the console's lines; "": none
	console  bool     // show the console from power-on
	registry bool     // serve container images
	cloud    string   // file that says what the cloud answers; "": there is none
	rollout  *rollout // nil: the machine is not updated
}

// guest is a machine that was started, and the key to it.
type guest struct {
	vm      *qemu.VM
	key     qemu.Key
	keyFile string
	spans   []qemu.Span // of the build
	log     *os.File
	cloud   *playedCloud // nil without one
	rollout *rollout     // nil without one
}

// boot starts a machine with a config that lets the run's key in.
func (h *host) boot(ctx context.Context, m qemu.Machine, o bootOptions) (*guest, error) {
	disk, own := h.image.Path, [][]byte(nil)
	if o.rollout != nil {
		disk = o.rollout.disk
		config, err := o.rollout.config()
		if err != nil {
			return nil, err
		}
		own = append(own, config)
	}
	if err := checkImage(disk); err != nil {
		return nil, withCode(exitUsage, err)
	}
	g := &guest{spans: h.image.Spans, keyFile: o.sshKey, rollout: o.rollout}
	var err error
	if g.key, err = loadOrMakeKey(o.sshKey); err != nil {
		return nil, err
	}
	files, err := h.firmwareFiles(o.config, o.text, g.key.Line, own...)
	if err != nil {
		return nil, err
	}
	if o.registry && h.app.joins.containers != nil {
		if err := h.serve(ctx); err != nil {
			return nil, err
		}
		m.Services = append(m.Services, qemu.Service{Guest: registryAddress, Command: []string{h.self, "pipe", h.server.Addr}})
	}
	m.Image, m.FwCfg = disk, files
	if o.cloud != "" {
		if g.cloud, err = h.playCloud(o.cloud, &m, g.key.Line); err != nil {
			return nil, err
		}
	} else if words := platformWords(disk, ""); words != nil {
		h.app.show.note("the image is for another platform; without --cloud its machine is one of QEMU")
		m.KernelArgs = append(words, m.KernelArgs...)
	}
	if m.Accel, err = h.accel(ctx, m.Accel); err != nil {
		return nil, err
	}
	if err := h.start(ctx, g, m, o); err != nil {
		g.cloud.close()
		return nil, err
	}
	return g, nil
}

func (h *host) start(ctx context.Context, g *guest, m qemu.Machine, o bootOptions) (err error) {
	if o.log != "" {
		if g.log, err = os.Create(o.log); err != nil {
			return fmt.Errorf("opening the console log: %w", err)
		}
		m.Console = g.log
	}
	if g.vm, err = qemu.Start(ctx, h.tools, m); err != nil {
		return err
	}
	if o.console {
		g.vm.Serial.Tee(h.app.out)
	}
	if g.keyFile == "" {
		g.keyFile = filepath.Join(g.vm.Dir(), "id")
		if err := os.WriteFile(g.keyFile, g.key.PEM, 0o600); err != nil {
			g.close()
			return fmt.Errorf("writing the SSH key: %w", err)
		}
	}
	return nil
}

func (g *guest) close() {
	g.vm.Close()
	g.cloud.close()
	if g.log != nil {
		g.log.Close()
	}
}

// sshCommand is what a person types to log in.
func (g *guest) sshCommand(options ...string) string {
	words := []string{"ssh", "-p", fmt.Sprint(g.vm.HostPort(22)), "-i", qemu.Quote(g.keyFile),
		"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"}
	for _, o := range options {
		words = append(words, "-o", o)
	}
	return strings.Join(append(words, "core@127.0.0.1"), " ")
}

func loadOrMakeKey(file string) (qemu.Key, error) {
	if file != "" {
		return qemu.LoadKey(file)
	}
	return qemu.NewKey("wellcar run")
}

// firmwareFiles are the user's config with the run's key for core and further
// configs merged in, and the text it was made of. Merging appends, so the
// text's positions hold.
func (h *host) firmwareFiles(name string, text []byte, key string, further ...[]byte) (map[string][]byte, error) {
	own, err := keyConfig(key)
	if err != nil || text == nil && further == nil {
		return map[string][]byte{configName: own}, err
	}
	j := h.app.joins
	if j.translate == nil || j.merge == nil {
		return nil, fmt.Errorf("translating %s: %w", name, errNoEngine)
	}
	parts, files := append([][]byte{own}, further...), map[string][]byte{}
	if text != nil {
		users, source, err := j.translate(name, text)
		if err != nil {
			return nil, err
		}
		parts, files[sourceName] = append([][]byte{users}, parts...), source
	}
	files[configName], err = j.merge(parts...)
	return files, err
}

// keyConfig lets a key in as core (Ignition spec 3.3.0).
func keyConfig(key string) ([]byte, error) {
	type user struct {
		Name string   `json:"name"`
		Keys []string `json:"sshAuthorizedKeys"`
	}
	var c struct {
		Ignition struct {
			Version string `json:"version"`
		} `json:"ignition"`
		Passwd struct {
			Users []user `json:"users"`
		} `json:"passwd"`
	}
	c.Ignition.Version = "3.3.0"
	c.Passwd.Users = []user{{"core", []string{key}}}
	return json.Marshal(c)
}

// crlf is for output while the terminal is in raw mode.
type crlf struct{ w io.Writer }

func (c crlf) Write(p []byte) (int, error) {
	if _, err := c.w.Write(bytes.ReplaceAll(p, []byte("\n"), []byte("\r\n"))); err != nil {
		return 0, err
	}
	return len(p), nil
}
