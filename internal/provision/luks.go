package provision

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode"

	types "github.com/coreos/ignition/v2/config/v3_7_experimental/types"
	"github.com/vincent-petithory/dataurl"

	"wellcar.dev/internal/format/probe"
)

// CreateLUKS makes an encrypted volume and opens it, or opens the one that is
// there if it is as wanted.
type CreateLUKS struct {
	Name        string   `json:"name"`
	Device      string   `json:"device"`
	Label       string   `json:"label,omitempty"`
	UUID        string   `json:"uuid,omitempty"`
	Options     []string `json:"options,omitempty"`
	OpenOptions []string `json:"openOptions,omitempty"`
	Discard     bool     `json:"discard,omitempty"`
	Wipe        bool     `json:"wipe,omitempty"`
	Key         *Content `json:"keyFile,omitempty"` // nil: a random one is made
	Clevis      *Clevis  `json:"clevis,omitempty"`
	Found       string   `json:"found,omitempty"` // what the plan knows to be there
}

// Kind implements Action.
func (*CreateLUKS) Kind() string { return "createLUKS" }

// Summary implements Action.
func (a *CreateLUKS) Summary() Summary {
	key := "with a random key"
	if a.Key != nil {
		key = "with the given key"
	}
	found := ""
	if a.Found != "" {
		found = "replaces " + a.Found
	}
	label := ""
	if a.Label != "" {
		label = "label " + a.Label
	}
	return Summary{"encrypt", "encrypted", "device", a.Device, join("open as "+a.Name, key, a.Clevis.words(), label, found)}
}

// luks plans storage.luks.
func (b *builder) luks() {
	for i, l := range b.Ignition.Storage.Luks {
		p := Path{"storage", "luks", i}
		a := &CreateLUKS{Name: l.Name, Device: value(l.Device), Label: value(l.Label), UUID: strings.ToLower(value(l.UUID)),
			Discard: isTrue(l.Discard), Wipe: isTrue(l.WipeVolume), Clevis: newClevis(l.Clevis)}
		for _, o := range l.Options {
			a.Options = append(a.Options, string(o))
		}
		for _, o := range l.OpenOptions {
			a.OpenOptions = append(a.OpenOptions, string(o))
		}
		if value(l.KeyFile.Source) != "" {
			a.Key = b.content(l.KeyFile, p.with("keyFile"))
		}
		if strings.ContainsFunc(a.Name, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) {
			b.fail(p.with("name"), "the name has white space, at which /etc/crypttab would end it", "use letters, digits, - and _")
		}
		if isTrue(l.Cex.Enabled) {
			b.fail(p.with("cex"), "this machine has no CryptoExpress card", "leave cex out")
		}
		b.foreseeLUKS(p, a)
		b.volumes.make("/dev/mapper/" + a.Name)
		b.add(StageDisks, p, a)
	}
}

func (b *builder) foreseeLUKS(p Path, a *CreateLUKS) {
	v := b.volumes.find(a.Device)
	taken := !b.claim(p.with("device"), a.Device, fmt.Sprintf("encrypted as LUKS volume %s (%s)", a.Name, b.Position(p...)))
	switch {
	case taken:
	case v == nil:
		b.unknownDevice(p.with("device"), a.Device)
	case v.use != "":
		b.fail(p.with("device"), fmt.Sprintf("%s is %s", a.Device, v.use), "take a device that is not in use")
	case !v.known || blank(v.content):
	case a.Wipe:
		a.Found = describeContent(v.content)
		b.warn(p, fmt.Sprintf("%s holds %s, which is overwritten", a.Device, a.Found), "make sure that nobody needs it")
	case a.reusable(v.content) != nil:
		b.fail(p, a.reusable(v.content).Error(), "set wipe_volume to replace it")
	}
}

// reusable is why what a device holds cannot be opened instead of a new volume.
func (a *CreateLUKS) reusable(found probe.Info) error {
	switch {
	case found.Type != "crypto_LUKS":
		return fmt.Errorf("%s holds %s", a.Device, describeContent(found))
	case a.Key == nil:
		return fmt.Errorf("%s holds a LUKS volume, which cannot be opened without a key_file", a.Device)
	case a.Clevis != nil:
		return fmt.Errorf("%s holds a LUKS volume, and Clevis is only bound to new ones", a.Device)
	case a.Label != "" && a.Label != found.Label:
		return fmt.Errorf("%s holds a LUKS volume labelled %q, not %q", a.Device, found.Label, a.Label)
	case a.UUID != "" && a.UUID != strings.ToLower(found.UUID):
		return fmt.Errorf("%s holds a LUKS volume with UUID %s, not %s", a.Device, found.UUID, a.UUID)
	}
	return nil
}

// keySize is that of a random key in bytes, before it is written as hex,
// which Clevis needs.
const keySize = 4096

// keyMax is the largest key that cryptsetup reads, in bytes.
const keyMax = 8 << 20

func (a *CreateLUKS) key(ctx context.Context, m *machine) ([]byte, error) {
	if a.Key != nil {
		return a.Key.Read(ctx, m.Fetch, keyMax)
	}
	raw := make([]byte, keySize)
	_, _ = rand.Read(raw) // never fails
	return []byte(hex.EncodeToString(raw)), nil
}

func (a *CreateLUKS) do(ctx context.Context, m *machine) (Outcome, error) {
	disks, err := m.disks()
	if err != nil {
		return Failed, err
	}
	node, err := disks.Resolve(ctx, a.Device)
	if err != nil {
		return Failed, err
	}
	key, err := a.key(ctx, m)
	if err != nil {
		return Failed, err
	}
	file, remove, err := disks.Secret(key)
	if err != nil {
		return Failed, err
	}
	defer remove()
	x := &encryption{CreateLUKS: a, disks: disks, fetch: m.Fetch, node: node, key: file}
	outcome, err := x.create(ctx)
	if err == nil && a.Clevis == nil {
		m.keepKey(a.Name, key)
	}
	if err != nil {
		outcome = Failed
	}
	return outcome, err
}

// keepKey leaves a key to the files stage.
func (m *machine) keepKey(name string, key []byte) {
	if m.State.LuksPersistKeyFiles == nil {
		m.State.LuksPersistKeyFiles = map[string]string{}
	}
	m.State.LuksPersistKeyFiles[name] = dataurl.EncodeBytes(key)
}

// encryption is a volume while it is made.
type encryption struct {
	*CreateLUKS
	disks     Disks
	fetch     Fetcher
	node, key string // device, key file
}

func (x *encryption) create(ctx context.Context) (Outcome, error) {
	found, err := x.disks.Identify(ctx, x.Device)
	if err != nil {
		return Failed, err
	}
	if !x.Wipe && !blank(found) {
		if err := x.reuse(ctx, found); err != nil {
			return Failed, fmt.Errorf("%w; set wipe_volume to replace it", err)
		}
		return Kept, x.open(ctx)
	}
	if err := x.disks.Wipe(ctx, x.Device); err != nil {
		return Failed, err
	}
	if _, err := x.disks.Run(ctx, "cryptsetup", x.format()...); err != nil {
		return Failed, err
	}
	if err := x.open(ctx); err != nil {
		return Failed, err
	}
	return Done, x.bind(ctx)
}

// reuse checks what only the program knows of a volume.
func (x *encryption) reuse(ctx context.Context, found probe.Info) error {
	if err := x.reusable(found); err != nil {
		return err
	}
	if _, err := x.disks.Run(ctx, "cryptsetup", "isLuks", "--type", "luks2", x.node); err != nil {
		return fmt.Errorf("%s holds a LUKS volume of version 1", x.Device)
	}
	dump, err := x.disks.Run(ctx, "cryptsetup", "luksDump", x.node)
	if err != nil {
		return err
	}
	if discards := strings.Contains(string(dump), "allow-discards"); discards != x.Discard {
		return fmt.Errorf("%s holds a LUKS volume whose discard flag is %v, not %v", x.Device, discards, x.Discard)
	}
	if _, err := x.disks.Run(ctx, "cryptsetup", "luksOpen", "--test-passphrase", "--key-file", x.key, x.node); err != nil {
		return fmt.Errorf("%s holds a LUKS volume that the key does not open", x.Device)
	}
	return nil
}

func (x *encryption) format() []string {
	args := []string{"luksFormat", "--batch-mode", "--type", "luks2", "--key-file", x.key}
	if x.Label != "" {
		args = append(args, "--label", x.Label)
	}
	if x.UUID != "" {
		args = append(args, "--uuid", x.UUID)
	}
	return append(append(args, x.Options...), x.node)
}

func (x *encryption) open(ctx context.Context) error {
	args := []string{"luksOpen", x.node, x.Name, "--key-file", x.key, "--persistent"}
	if x.Discard {
		args = append(args, "--allow-discards")
	}
	_, err := x.disks.Run(ctx, "cryptsetup", append(args, x.OpenOptions...)...)
	return err
}

// bind ties the volume to what Clevis unlocks with, and proves it if that is
// there.
func (x *encryption) bind(ctx context.Context) error {
	if x.Clevis == nil {
		return nil
	}
	if err := x.Clevis.reach(ctx, x.fetch); err != nil {
		return err
	}
	pin, config := x.Clevis.pin()
	if _, err := x.disks.Run(ctx, "clevis", "luks", "bind", "-f", "-k", x.key, "-d", x.node, pin, config); err != nil {
		return fmt.Errorf("binding to Clevis: %w", err)
	}
	if x.Clevis.provable() {
		if _, err := x.disks.Run(ctx, "cryptsetup", "luksClose", x.Name); err != nil {
			return err
		}
		if _, err := x.disks.Run(ctx, "clevis", "luks", "unlock", "-d", x.node, "-n", x.Name); err != nil {
			return fmt.Errorf("opening it by Clevis, as a proof: %w", err)
		}
	}
	if x.Key != nil {
		return nil
	}
	if _, err := x.disks.Run(ctx, "cryptsetup", "luksRemoveKey", x.node, x.key); err != nil {
		return fmt.Errorf("removing the random key: %w", err)
	}
	return nil
}

// errNoKey says that a stage before did not leave what the files stage needs.
var errNoKey = errors.New("the disks stage left no key for it")

// newClevis is nil if nothing is asked of Clevis.
func newClevis(c types.Clevis) *Clevis {
	custom := value(c.Custom.Pin)
	if len(c.Tang) == 0 && !isTrue(c.Tpm2) && custom == "" {
		return nil
	}
	out := &Clevis{TPM2: isTrue(c.Tpm2), Threshold: 1, CustomPin: custom, CustomConfig: value(c.Custom.Config), Network: isTrue(c.Custom.NeedsNetwork)}
	if c.Threshold != nil && *c.Threshold > 0 {
		out.Threshold = *c.Threshold
	}
	for _, t := range c.Tang {
		out.Tang = append(out.Tang, Tang{t.URL, value(t.Thumbprint), value(t.Advertisement)})
	}
	out.Network = out.Network || len(out.Tang) > 0
	return out
}
