package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"wellcar.dev/internal/format/probe"
)

// MakeFilesystem puts a file system or swap space on a device, or keeps what
// is there if it is as wanted.
type MakeFilesystem struct {
	Device  string   `json:"device"`
	Format  string   `json:"format"` // ext4, btrfs, xfs, vfat, swap, none
	Label   *string  `json:"label,omitempty"`
	UUID    string   `json:"uuid,omitempty"`
	Options []string `json:"options,omitempty"`
	Wipe    bool     `json:"wipe,omitempty"`
	Found   string   `json:"found,omitempty"` // what the plan knows to be there
	Keeps   bool     `json:"keeps,omitempty"` // the plan knows that it is as wanted

	foreseen bool
}

// Foreseen tells whether the plan knows the device, and so has said what is
// lost.
func (a *MakeFilesystem) Foreseen() bool { return a.foreseen }

// Kind implements Action.
func (*MakeFilesystem) Kind() string { return "makeFilesystem" }

// Summary implements Action.
func (a *MakeFilesystem) Summary() Summary {
	s := Summary{"make", "made", a.Format + " file system on", a.Device, ""}
	switch a.Format {
	case "none":
		s = Summary{"empty", "emptied", "device", a.Device, ""}
	case "swap":
		s.What = "swap space on"
	}
	if a.Keeps {
		s.Verb, s.Past = "keep", "kept"
	}
	var words []string
	if value(a.Label) != "" {
		words = append(words, "label "+*a.Label)
	}
	if a.UUID != "" {
		words = append(words, "uuid "+a.UUID)
	}
	if len(a.Options) > 0 {
		words = append(words, strings.Join(a.Options, " "))
	}
	if a.Found != "" && !a.Keeps {
		words = append(words, "replaces "+a.Found)
	}
	s.Detail = strings.Join(words, ", ")
	return s
}

// filesystems plans storage.filesystems.
func (b *builder) filesystems() {
	for i, f := range b.Ignition.Storage.Filesystems {
		format := value(f.Format)
		if format == "" || format == "virtiofs" {
			continue
		}
		p := Path{"storage", "filesystems", i}
		a := &MakeFilesystem{Device: f.Device, Format: format, Label: f.Label, Wipe: isTrue(f.WipeFilesystem)}
		a.UUID = canonicalUUID(format, value(f.UUID))
		for _, o := range f.Options {
			a.Options = append(a.Options, string(o))
		}
		b.foreseeFilesystem(p, a)
		b.add(StageDisks, p, a)
	}
}

// foreseeFilesystem compares with what is known to be on the device.
func (b *builder) foreseeFilesystem(p Path, a *MakeFilesystem) {
	if was := b.claimed(a.Device); was != "" {
		b.fail(p.with("device"), fmt.Sprintf("%s is %s", a.Device, was), "name the array, the open volume or a partition")
		return
	}
	v := b.volumes.find(a.Device)
	if v == nil {
		b.unknownDevice(p.with("device"), a.Device)
		return
	}
	a.foreseen = true
	if v.use != "" && (a.Wipe || !v.known || !a.matches(v.content)) {
		b.fail(p.with("device"), fmt.Sprintf("%s is %s", a.Device, v.use), "take a device that is not in use")
		return
	}
	if !v.known {
		return
	}
	if !blank(v.content) {
		a.Found = describeContent(v.content)
	}
	switch {
	case a.Wipe && !blank(v.content):
		b.warn(p, fmt.Sprintf("%s holds %s, which is overwritten", a.Device, a.Found), "make sure that nobody needs it")
	case a.Wipe, blank(v.content):
	case a.matches(v.content):
		a.Keeps = true
	default:
		b.fail(p.with(a.differs(v.content)), a.complaint(v.content), "set wipe_filesystem to replace it")
		return
	}
	b.volumes.fill(a.Device, probe.Info{Type: a.Format, Label: value(a.Label), UUID: a.UUID, Usage: probe.Filesystem})
}

// matches tells whether what a device holds can be used as it is.
func (a *MakeFilesystem) matches(found probe.Info) bool { return a.differs(found) == "" }

// differs names the field in which it is not as wanted.
func (a *MakeFilesystem) differs(found probe.Info) string {
	switch {
	case a.Format == "none" && !blank(found):
		return "format"
	case a.Format != "none" && found.Type != a.Format && found.Label != "OEM":
		return "format"
	case value(a.Label) != "" && *a.Label != found.Label:
		return "label"
	case a.UUID != "" && a.UUID != canonicalUUID(a.Format, found.UUID):
		return "uuid"
	}
	return ""
}

func (a *MakeFilesystem) complaint(found probe.Info) string {
	text := fmt.Sprintf("%s holds %s", a.Device, describeContent(found))
	switch a.differs(found) {
	case "label":
		text += fmt.Sprintf(", not one labelled %s", *a.Label)
	case "uuid":
		text += fmt.Sprintf(" with UUID %s, not %s", found.UUID, a.UUID)
	default:
		if a.Format == "none" {
			return text + ", not nothing"
		}
		text += ", not " + a.Format
	}
	return text
}

// canonicalUUID is lower case, for vfat without its dash.
func canonicalUUID(format, uuid string) string {
	uuid = strings.ToLower(uuid)
	if format == "vfat" {
		uuid = strings.ReplaceAll(uuid, "-", "")
	}
	return uuid
}

func (a *MakeFilesystem) do(ctx context.Context, m *machine) (Outcome, error) {
	disks, err := m.disks()
	if err != nil {
		return Failed, err
	}
	node, err := disks.Resolve(ctx, a.Device)
	if err != nil {
		return Failed, err
	}
	if !a.Wipe {
		found, err := disks.Identify(ctx, a.Device)
		switch {
		case err != nil:
			return Failed, err
		case a.Format == "none" && blank(found), !blank(found) && a.matches(found):
			return Kept, nil
		case !blank(found):
			return Failed, errors.New(a.complaint(found) + "; set wipe_filesystem to replace it")
		}
	}
	if err := disks.Wipe(ctx, a.Device); err != nil {
		return Failed, err
	}
	if a.Format == "none" {
		return Done, nil
	}
	if _, err := disks.Run(ctx, mkfs[a.Format].program, a.command(node)...); err != nil {
		return Failed, err
	}
	return Done, nil
}

// parallel implements parallelAction: file systems are made at the same time.
func (*MakeFilesystem) parallel() {}

// mkfs are the programs by format.
var mkfs = map[string]struct {
	program, force, label string
	uuid                  func(string) []string
}{
	"ext4":  {"mkfs.ext4", "-F", "-L", dashed("-U")},
	"btrfs": {"mkfs.btrfs", "--force", "-L", dashed("-U")},
	"xfs":   {"mkfs.xfs", "-f", "-L", func(u string) []string { return []string{"-m", "uuid=" + u} }},
	"swap":  {"mkswap", "-f", "-L", dashed("-U")},
	"vfat":  {"mkfs.fat", "", "-n", dashed("-i")},
}

func dashed(name string) func(string) []string {
	return func(v string) []string { return []string{name, v} }
}

// command has the options of the config first, so that a program that takes
// the last of two takes ours.
func (a *MakeFilesystem) command(node string) []string {
	make := mkfs[a.Format]
	args := slices.Clone(a.Options)
	if make.force != "" {
		args = append(args, make.force)
	}
	if a.UUID != "" {
		args = append(args, make.uuid(a.UUID)...)
	}
	if value(a.Label) != "" {
		args = append(args, make.label, *a.Label)
	}
	return append(args, node)
}
