package cloudinit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
)

// Network tells whether a unit is one of networkd's.
func (u Unit) Network() bool {
	return slices.Contains([]string{".network", ".netdev", ".link"}, path.Ext(u.Name))
}

// file is where a unit is written.
func (u Unit) file() string {
	dir, group := "/etc", "system"
	if u.Runtime {
		dir = "/run"
	}
	if u.Network() {
		group = "network"
	}
	return path.Join(dir, "systemd", group, u.Name)
}

// units writes units, then tells the service manager once, then does what
// the units ask for.
func (m Machine) units(ctx context.Context, units []Unit) error {
	reload, networkd := false, false
	for _, u := range units {
		wrote, err := m.placeUnit(ctx, u)
		if err != nil {
			return err
		}
		reload, networkd = reload || wrote, networkd || u.Network()
	}
	if reload {
		if err := m.run(ctx, "", "systemctl", "daemon-reload"); err != nil {
			return err
		}
	}
	for _, u := range units {
		if !u.Enable || u.Network() {
			continue
		}
		args := []string{"enable", "--force", u.Name}
		if u.Runtime {
			args = append(args, "--runtime")
		}
		if err := m.run(ctx, "", "systemctl", args...); err != nil {
			return fmt.Errorf("enabling unit %s: %w", u.Name, err)
		}
	}
	if networkd {
		if err := m.run(ctx, "", "systemctl", "restart", "systemd-networkd.service"); err != nil {
			return err
		}
	}
	return m.commands(ctx, units)
}

func (m Machine) commands(ctx context.Context, units []Unit) error {
	var errs []error
	for _, u := range units {
		if u.Command == "" || u.Network() {
			continue
		}
		m.Logf("%s %s", u.Command, u.Name)
		// Units may wait for this one's own: nobody waits for them here.
		if err := m.run(ctx, "", "systemctl", "--no-block", u.Command, u.Name); err != nil {
			errs = append(errs, fmt.Errorf("unit %s: %w", u.Name, err))
		}
	}
	return errors.Join(errs...)
}

// placeUnit writes a unit and its drop-ins, or masks it.
func (m Machine) placeUnit(ctx context.Context, u Unit) (wrote bool, err error) {
	if u.Content != "" {
		if err := m.write(ctx, File{Path: u.file(), Content: u.Content}); err != nil {
			return false, err
		}
		wrote = true
	}
	for _, d := range u.DropIns {
		if d.Content == "" {
			continue
		}
		if err := m.write(ctx, File{Path: path.Join(u.file()+".d", d.Name), Content: d.Content}); err != nil {
			return false, err
		}
		wrote = true
	}
	switch {
	case u.Mask:
		return true, m.mask(u)
	case u.Runtime && u.Content == "":
		return wrote, m.unmask(u)
	}
	return wrote, nil
}

// mask puts a link to /dev/null in place of whatever is there.
func (m Machine) mask(u Unit) error {
	name := m.path(u.file())
	err := os.Remove(name)
	if errors.Is(err, fs.ErrNotExist) {
		err = os.MkdirAll(filepath.Dir(name), 0o755)
	}
	if err == nil {
		err = os.Symlink("/dev/null", name)
	}
	if err != nil {
		return fmt.Errorf("masking unit %s: %w", u.Name, err)
	}
	return nil
}

// unmask removes such a link, and an empty file.
func (m Machine) unmask(u Unit) error {
	name := m.path(u.file())
	target, err := os.Readlink(name)
	if err != nil || target != "/dev/null" {
		return nil // it is not masked
	}
	if err := os.Remove(name); err != nil {
		return fmt.Errorf("unmasking unit %s: %w", u.Name, err)
	}
	return nil
}
