package provision

import (
	"context"
	"fmt"
	"path"
	"strings"

	"github.com/vincent-petithory/dataurl"

	"wellcar.dev/internal/sys/rootfs"
)

// Where the running system looks for encrypted volumes and their keys.
const (
	crypttab = "/etc/crypttab"
	keyDir   = "/etc/luks"
)

// WriteCrypttab makes the running system open the volumes that the disks
// stage made.
type WriteCrypttab struct {
	Volumes []CrypttabEntry `json:"volumes"`
}

// CrypttabEntry is a line of crypttab(5).
type CrypttabEntry struct {
	Name    string `json:"name"`
	Device  string `json:"device"`
	Clevis  bool   `json:"clevis,omitempty"` // no key file
	Network bool   `json:"network,omitempty"`
}

// crypttab plans the files that go with storage.luks.
func (b *builder) crypttab() {
	if len(b.Ignition.Storage.Luks) == 0 {
		return
	}
	a := &WriteCrypttab{}
	for _, l := range b.Ignition.Storage.Luks {
		c := newClevis(l.Clevis)
		a.Volumes = append(a.Volumes, CrypttabEntry{l.Name, value(l.Device), c != nil, c != nil && c.Network})
	}
	b.add(StageFiles, Path{"storage", "luks"}, a)
}

// Kind implements Action.
func (*WriteCrypttab) Kind() string { return "writeCrypttab" }

// Summary implements Action.
func (a *WriteCrypttab) Summary() Summary {
	var names []string
	for _, v := range a.Volumes {
		names = append(names, v.Name)
	}
	return Summary{"add to", "added to", "file", crypttab, "volumes " + strings.Join(names, " ") + ", keys in " + keyDir}
}

func (a *WriteCrypttab) do(ctx context.Context, m *machine) (Outcome, error) {
	disks, err := m.disks()
	if err != nil {
		return Failed, err
	}
	var lines strings.Builder
	for _, v := range a.Volumes {
		line, err := v.line(ctx, m, disks)
		if err != nil {
			return Failed, fmt.Errorf("volume %s: %w", v.Name, err)
		}
		lines.WriteString(line)
	}
	if old, err := m.Files.ReadFile(crypttab); err == nil && strings.Contains(string(old), lines.String()) {
		return Kept, nil
	}
	return Done, m.Files.AppendFile(crypttab, []byte(lines.String()), 0o600)
}

// line writes the key file and returns the line.
func (v CrypttabEntry) line(ctx context.Context, m *machine, disks Disks) (string, error) {
	node, err := disks.Resolve(ctx, v.Device)
	if err != nil {
		return "", err
	}
	uuid, err := disks.Run(ctx, "cryptsetup", "luksUUID", node)
	if err != nil {
		return "", err
	}
	key := "none"
	if !v.Clevis {
		key = path.Join(keyDir, v.Name)
		if err := v.writeKey(m, key); err != nil {
			return "", err
		}
	}
	options := "luks"
	if v.Network {
		options += ",_netdev"
	}
	return fmt.Sprintf("%s UUID=%s %s %s,x-initrd.attach\n", v.Name, strings.TrimSpace(string(uuid)), key, options), nil
}

func (v CrypttabEntry) writeKey(m *machine, file string) error {
	kept, ok := m.State.LuksPersistKeyFiles[v.Name]
	if !ok {
		if _, err := m.Files.Stat(file); err == nil {
			return nil // this stage ran before
		}
		return errNoKey
	}
	key, err := dataurl.DecodeString(kept)
	if err != nil {
		return fmt.Errorf("reading the kept key: %w", err)
	}
	if err := m.Files.MkdirAll(keyDir, 0o700); err != nil {
		return err
	}
	if err := m.Files.WriteFile(file, key.Data, rootfs.Meta{Perm: 0o600}); err != nil {
		return err
	}
	delete(m.State.LuksPersistKeyFiles, v.Name)
	return nil
}
