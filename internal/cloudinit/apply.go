package cloudinit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"wellcar.dev/internal/sys/command"
	"wellcar.dev/internal/sys/durable"
)

// Machine is what user data changes.
type Machine struct {
	Root      string // its root directory
	Run       command.Runner
	Workspace string // where scripts are kept, /var/lib/coreos-cloudinit
	KeyName   string // set of SSH keys, coreos-cloudinit
	Logf      func(format string, args ...any)
	// Get fetches the keys that a user's config names by their address; nil:
	// they are not to be had.
	Get func(ctx context.Context, url string) ([]byte, error)
}

// Facts are what a cloud says besides the user data.
type Facts struct {
	Values
	Hostname string
	Keys     []string // of the user core
}

func (m Machine) path(name string) string { return filepath.Join(m.Root, name) }

func (m Machine) run(ctx context.Context, stdin, name string, args ...string) error {
	c := command.Cmd{Path: name, Args: args}
	if stdin != "" {
		c.Stdin = strings.NewReader(stdin)
	}
	_, err := m.Run(ctx, c)
	return err
}

// Apply carries out all parts in their order; the host name and the keys of
// core come first. A part that fails does not keep later ones from being
// tried.
func (u UserData) Apply(ctx context.Context, m Machine, f Facts) error {
	if err := errors.Join(m.setHostname(ctx, u.hostname(f)), m.authorize(ctx, "core", u.coreKeys(f))); err != nil {
		return err
	}
	var errs []error
	for _, p := range u.Parts {
		m.Logf("applying %s", p.Name)
		var err error
		if p.Config != nil {
			err = m.applyConfig(ctx, *p.Config, f)
		} else {
			err = m.runScript(ctx, p.Script)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("applying %s: %w", p.Name, err))
		}
	}
	return errors.Join(errs...)
}

// hostname is that of the first cloud-config that has one, else the cloud's,
// up to the first dot and cut to what Linux takes.
func (u UserData) hostname(f Facts) string {
	name := f.Hostname
	for _, p := range u.Parts {
		if p.Config != nil && p.Config.Hostname != "" {
			name = p.Config.Hostname
			break
		}
	}
	name, _, _ = strings.Cut(name, ".")
	return name[:min(len(name), 63)]
}

// coreKeys are those of the cloud, of the top level and of the user core.
func (u UserData) coreKeys(f Facts) []string {
	keys := append([]string(nil), f.Keys...)
	for _, p := range u.Parts {
		if p.Config == nil {
			continue
		}
		keys = append(keys, p.Config.SSHAuthorizedKeys...)
		for _, user := range p.Config.Users {
			if user.Name == "core" {
				keys = append(keys, user.SSHAuthorizedKeys...)
			}
		}
	}
	return keys
}

func (m Machine) setHostname(ctx context.Context, name string) error {
	if name == "" {
		return nil
	}
	m.Logf("host name %s", name)
	if err := m.run(ctx, "", "hostnamectl", "set-hostname", name); err != nil {
		return fmt.Errorf("setting the host name %s: %w", name, err)
	}
	return nil
}

func (m Machine) authorize(ctx context.Context, user string, keys []string) error {
	return m.authorizeAs(ctx, user, m.KeyName, keys)
}

func (m Machine) authorizeAs(ctx context.Context, user, set string, keys []string) error {
	if len(keys) == 0 {
		return nil
	}
	m.Logf("%d SSH keys for %s", len(keys), user)
	if err := m.run(ctx, strings.Join(keys, "\n")+"\n", "update-ssh-keys", "-u", user, "-a", set); err != nil {
		return fmt.Errorf("adding the SSH keys of %s: %w", user, err)
	}
	return nil
}

func (m Machine) applyConfig(ctx context.Context, c Config, f Facts) error {
	for _, user := range c.Users {
		if err := m.user(ctx, user); err != nil {
			return err
		}
	}
	files, err := m.files(c)
	if err != nil {
		return err
	}
	environment := false
	for _, file := range files {
		if err := m.write(ctx, file); err != nil {
			return err
		}
		environment = environment || file.Path == environmentFile
	}
	if !environment {
		if err := m.environment(f.Environment()); err != nil {
			return err
		}
	}
	return m.units(ctx, append(c.CoreOS.Units, systemUnits(c.CoreOS)...))
}

// write replaces a file.
func (m Machine) write(ctx context.Context, f File) error {
	name := m.path(f.Path)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return fmt.Errorf("writing file %s: %w", f.Path, err)
	}
	mode := fs.FileMode(0o644)
	if f.Permissions != "" {
		var bits uint32
		if _, err := fmt.Sscanf(f.Permissions, "%o", &bits); err != nil {
			return fmt.Errorf("writing file %s: its permissions %q are not octal", f.Path, f.Permissions)
		}
		mode = fileMode(bits)
	}
	if err := durable.WriteFile(name, []byte(f.Content), mode); err != nil {
		return fmt.Errorf("writing file %s: %w", f.Path, err)
	}
	if f.Owner != "" {
		if err := m.run(ctx, "", "chown", f.Owner, name); err != nil {
			return fmt.Errorf("giving file %s to %s: %w", f.Path, f.Owner, err)
		}
		if err := os.Chmod(name, mode); err != nil { // chown drops the special bits
			return fmt.Errorf("setting the mode of file %s: %w", f.Path, err)
		}
	}
	m.Logf("wrote %s", f.Path)
	return nil
}

func fileMode(bits uint32) fs.FileMode {
	mode := fs.FileMode(bits & 0o777)
	for bit, special := range map[uint32]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if bits&bit != 0 {
			mode |= special
		}
	}
	return mode
}

// runScript keeps a script and starts it as a unit of its own.
func (m Machine) runScript(ctx context.Context, script []byte) error {
	dir := m.path(filepath.Join(m.Workspace, "scripts"))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("keeping the script: %w", err)
	}
	f, err := os.CreateTemp(dir, "")
	if err != nil {
		return fmt.Errorf("keeping the script: %w", err)
	}
	if err := errors.Join(f.Chmod(0o744), f.Close()); err != nil {
		return fmt.Errorf("keeping the script: %w", err)
	}
	if err := durable.WriteFile(f.Name(), script, 0o744); err != nil {
		return fmt.Errorf("keeping the script: %w", err)
	}
	unit := "coreos-cloudinit-" + filepath.Base(f.Name()) + ".service"
	m.Logf("starting the script as %s", unit)
	if err := m.run(ctx, "", "systemd-run", "--no-block", "--quiet", "--unit="+unit, "--description=Script of the user data", "/bin/bash", f.Name()); err != nil {
		return fmt.Errorf("starting the script: %w", err)
	}
	return durable.WriteFile(filepath.Join(dir, "unit-name"), []byte(unit), 0o644)
}
