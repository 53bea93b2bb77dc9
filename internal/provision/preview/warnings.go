package preview

import (
	"fmt"
	"slices"
	"strings"

	"github.com/coreos/ignition/v2/config/util"
	types "github.com/coreos/ignition/v2/config/v3_7_experimental/types"

	"wellcar.dev/internal/provision"
)

// warnings are the traps that can be seen before the first boot.
func (p *Preview) warnings(c provision.Config, opt Options) provision.Report {
	out := append(p.downloadTraps(opt), p.networkTrap()...)
	for _, u := range p.Units {
		if u.State == NotFound {
			out = append(out, trap(u.At, fmt.Sprintf("unit %s: neither this config nor the image has such a unit", u.Name),
				"check its name, or give its contents"))
		}
	}
	return append(out, wipes(c, foreseen(p.Plan))...)
}

func trap(at provision.Position, message, remedy string) provision.Problem {
	return provision.Problem{Severity: provision.Warning, Position: at, Message: message, Remedy: remedy}
}

// downloadTraps are downloads that anybody on the way may replace, and those
// that nobody looked at.
func (p *Preview) downloadTraps(opt Options) provision.Report {
	var out provision.Report
	for _, d := range p.Downloads {
		if d.Hash == "" && !d.tang && (strings.HasPrefix(d.request.URL, "http:") || strings.HasPrefix(d.request.URL, "tftp:")) {
			out = append(out, trap(d.At, fmt.Sprintf("%s comes over plain http or tftp without a hash, so anybody on the way can replace it", d.URL),
				"add verification.hash, or use https"))
		}
		switch {
		case !opt.Offline, d.local():
		case d.tang:
			out = append(out, trap(d.At, fmt.Sprintf("%s is asked at the first boot, which needs a network", d.URL), "be sure that the machine reaches the server, or give its advertisement"))
		default:
			out = append(out, trap(d.At, fmt.Sprintf("%s needs a network at the first boot, and was not checked", d.URL),
				"plan without --offline, or embed the content"))
		}
	}
	return out
}

// ReferenceTraps are those of what a config refers to itself, before
// Config.Render: other configs and certificates.
func ReferenceTraps(c provision.Config) provision.Report {
	var out provision.Report
	check := func(res types.Resource, path ...any) {
		if res.Source != nil && res.Verification.Hash == nil && (strings.HasPrefix(*res.Source, "http:") || strings.HasPrefix(*res.Source, "tftp:")) {
			out = append(out, trap(c.Position(append(path, "source")...), fmt.Sprintf("%s comes over plain http or tftp without a hash, so anybody on the way can replace it",
				provision.Request{URL: *res.Source}.Address()), "add verification.hash, or use https"))
		}
	}
	section := c.Ignition.Ignition
	check(section.Config.Replace, "ignition", "config", "replace")
	for i, r := range section.Config.Merge {
		check(r, "ignition", "config", "merge", i)
	}
	for i, r := range section.Security.TLS.CertificateAuthorities {
		check(r, "ignition", "security", "tls", "certificateAuthorities", i)
	}
	return out
}

// networkTrap is a download in a config that also sets up the network, which
// it does too late for it.
func (p *Preview) networkTrap() provision.Report {
	i := slices.IndexFunc(p.Downloads, func(d Download) bool { return !d.local() })
	if i < 0 {
		return nil
	}
	first := p.Downloads[i]
	for _, s := range p.Steps {
		name := target(s.Action)
		if strings.HasPrefix(name, "/etc/systemd/network/") && strings.HasSuffix(name, ".network") {
			return provision.Report{trap(first.At, fmt.Sprintf("%s is fetched before %s is in effect: the network is then that of DHCP", first.URL, name),
				"where there is no DHCP, embed the content or boot with ip=")}
		}
	}
	return nil
}

// foreseen are the devices of which the plan itself says what is lost.
func foreseen(plan provision.Plan) map[string]bool {
	out := map[string]bool{}
	for _, s := range plan.Steps {
		switch a := s.Action.(type) {
		case *provision.PartitionDisk:
			out[a.Device] = a.Foreseen()
		case *provision.MakeFilesystem:
			out[a.Device] = a.Foreseen()
		}
	}
	return out
}

// wipes are the places where data would be lost if there were any, on devices
// that are not known.
func wipes(c provision.Config, known map[string]bool) provision.Report {
	var out provision.Report
	for i, d := range c.Ignition.Storage.Disks {
		if known[d.Device] {
			continue
		}
		if util.IsTrue(d.WipeTable) {
			out = append(out, trap(c.Position("storage", "disks", i, "wipeTable"), fmt.Sprintf("disk %s: all its partitions and what is on them are lost", d.Device),
				"be sure that nothing is there, or drop wipe_table"))
		}
		for n, part := range d.Partitions {
			if util.IsTrue(part.WipePartitionEntry) {
				out = append(out, trap(c.Position("storage", "disks", i, "partitions", n, "wipePartitionEntry"),
					fmt.Sprintf("disk %s: what is on partition %d is lost if it differs from what is wanted", d.Device, part.Number), "be sure that nothing is there, or drop wipe_partition_entry"))
			}
		}
	}
	for i, fs := range c.Ignition.Storage.Filesystems {
		if util.IsTrue(fs.WipeFilesystem) && !known[fs.Device] {
			out = append(out, trap(c.Position("storage", "filesystems", i, "wipeFilesystem"), fmt.Sprintf("file system on %s: what is there is lost", fs.Device),
				"drop wipe_filesystem to keep a file system of the same format and label"))
		}
	}
	return out
}
