//go:build linux

package initrd

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"wellcar.dev/internal/format/cmdline"
	"wellcar.dev/internal/layout"
)

// Options is what the kernel command line asks for.
type Options struct {
	UsrHash       [32]byte // root hash of the /usr image
	Root          string   // LABEL=, UUID=, PARTLABEL=, PARTUUID= or a device node
	RootFlags     string   // as for mount -o
	RootType      string   // file system of Root, "tmpfs", or empty for whatever is found
	FirstBoot     Word
	Platform      string // as the provisioning names it
	RandomizeGUID bool
	NeedNetwork   bool // for the first boot, whatever the config says
	OnFailure     Policy
	ReportURL     string            // where the report of a failure is sent; empty: nowhere
	ModuleParams  map[string]string // module name to "key=value key=value"
	Blacklist     map[string]bool   // modules not to load for a device
}

// Word is a command line word that may be absent.
type Word struct {
	Value   string
	Present bool
}

// Policy says what follows a failure.
type Policy struct {
	Shell bool
	Wait  time.Duration // before the reboot
}

// failureWait is how long a failure stays on the console by default.
const failureWait = 5 * time.Minute

// Hardware is what the platform is recognised by.
type Hardware struct {
	Vendor  string // DMI system vendor
	Product string // DMI product name
	FwCfg   bool   // QEMU's firmware configuration device exists
}

// DefaultRoot is the root file system when no root= says otherwise.
const DefaultRoot = "LABEL=ROOT"

// ParseOptions reads the kernel command line.
func ParseOptions(line string, hw Hardware) (Options, error) {
	words := cmdline.Parse(line)
	get := func(names ...string) string {
		value, _ := words.First(names...)
		return value
	}
	hash, err := rootHash(get("verity.usrhash", "usrhash"))
	if err != nil {
		return Options{OnFailure: policy(words)}, err
	}
	o := Options{
		UsrHash: hash, Root: get("root"), RootFlags: get("rootflags"), RootType: get("rootfstype"),
		Platform: platform(get("flatcar.oem.id", "coreos.oem.id"), hw), OnFailure: policy(words),
		ReportURL: get("wellcar.report.url"), ModuleParams: moduleParams(words), Blacklist: map[string]bool{},
	}
	if o.Root == "" {
		o.Root = DefaultRoot
	}
	o.FirstBoot.Value, o.FirstBoot.Present = words.First("flatcar.first_boot", "coreos.first_boot")
	_, o.RandomizeGUID = words.First("flatcar.randomize_guid", "coreos.randomize_guid")
	need, _ := words.Get("rd.neednet")
	o.NeedNetwork = need != "" && need != "0"
	for _, list := range words.All("modprobe.blacklist") {
		for name := range strings.SplitSeq(list, ",") {
			o.Blacklist[moduleName(name)] = true
		}
	}
	return o, nil
}

func rootHash(text string) (hash [32]byte, err error) {
	if text == "" {
		return hash, errors.New("reading the kernel command line: it has no verity.usrhash= word, so no /usr can be trusted")
	}
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != len(hash) {
		return hash, fmt.Errorf("reading the kernel command line: root hash %s is not %d hexadecimal digits", text, 2*len(hash))
	}
	return [32]byte(raw), nil
}

func platform(word string, hw Hardware) string {
	switch {
	case word != "":
		return layout.PlatformID(word)
	case hw.FwCfg, hw.Vendor == "QEMU", strings.Contains(hw.Product, "KVM"):
		return "qemu"
	}
	return "metal"
}

func policy(words cmdline.Line) Policy {
	value, _ := words.Get("wellcar.emergency")
	_, emergency := words.First("emergency", "rd.emergency")
	switch {
	case value == "shell", value == "" && emergency:
		return Policy{Shell: true}
	case value == "reboot":
		return Policy{}
	}
	return Policy{Wait: failureWait}
}

// moduleParams collects words of the form MODULE.PARAMETER=VALUE. Words of
// other programs look the same and do no harm: no module has their name.
func moduleParams(words cmdline.Line) map[string]string {
	params := map[string]string{}
	for _, arg := range words.Args {
		name, param, ok := strings.Cut(arg.Name, ".")
		if !ok {
			continue
		}
		if arg.HasValue {
			param += "=" + arg.Value
		}
		name = moduleName(name)
		params[name] = strings.TrimSpace(params[name] + " " + param)
	}
	return params
}
