// Package metadata asks a cloud about a machine that runs: the attributes
// that units read as environment variables, the host name, the SSH keys.
//
// The attributes are those of coreos/afterburn with the prefixes that Flatcar
// gives them: COREOS_EC2_ for aws, COREOS_GCE_ for gcp, COREOS_ and the id in
// capitals elsewhere. See
// https://coreos.github.io/afterburn/usage/attributes/.
//
//	data, err := metadata.Fetch(ctx, "hetzner", metadata.Machine{Get: get})
//	os.WriteFile("/run/metadata/flatcar", data.Environment(), 0o644)
package metadata

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"wellcar.dev/internal/layout"
)

// ErrNotFound is the answer of a service that knows no such thing.
var ErrNotFound = errors.New("not found")

// Machine is how a cloud is asked.
type Machine struct {
	// Get takes a request, again until there is an answer. A 404 is
	// ErrNotFound.
	Get func(ctx context.Context, r Request) ([]byte, error)
	// Drive reads a file of the config drive with a label. A drive or file
	// that does not exist is ErrNotFound.
	Drive func(label, name string) ([]byte, error)
}

// Request is an HTTP request.
type Request struct {
	Method  string // "": GET
	URL     string
	Headers map[string]string
	Body    string
}

// Data is what a cloud knows about a machine.
type Data struct {
	Attributes map[string]string // by the name without COREOS_
	Hostname   string            // as the cloud says it; "": none
	Keys       []string          // of the machine's first user
	checkIn    *Request
}

// Environment is the text for EnvironmentFile=, sorted by name.
func (d Data) Environment() []byte {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(d.Attributes)) {
		fmt.Fprintf(&b, "COREOS_%s=%s\n", name, oneLine(d.Attributes[name]))
	}
	return []byte(b.String())
}

// oneLine keeps a value from adding variables of its own.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, s)
}

// CheckIn tells the cloud that the machine has booted, where it wants to know.
func (d Data) CheckIn(ctx context.Context, m Machine) error {
	if d.checkIn == nil {
		return nil
	}
	_, err := m.Get(ctx, *d.checkIn)
	return err
}

// The longest host name that Linux takes, in bytes.
const hostnameMax = 63

// ShortName is a host name up to its first dot, cut to what Linux takes.
func ShortName(name string) string {
	name, _, _ = strings.Cut(strings.TrimSpace(name), ".")
	return name[:min(len(name), hostnameMax)]
}

type provider func(ctx context.Context, m Machine) (Data, error)

// other names of platforms, as units and flags have them; those of images are
// layout's.
var aliases = map[string]string{
	"openstack-metadata": "openstack", "cloudstack-metadata": "cloudstack",
	"cloudstack-configdrive": "cloudstack", "brightbox": "openstack",
}

// providers are the platforms that can be asked.
var providers = map[string]provider{
	"akamai": akamai, "aliyun": aliyun.fetch, "aws": aws, "azure": azure, "cloudstack": cloudstack,
	"digitalocean": digitalocean, "exoscale": exoscale.fetch, "gcp": gcp, "hetzner": hetzner,
	"kubevirt": kubevirt, "openstack": openstack, "oraclecloud": oraclecloud, "packet": packet,
	"proxmoxve": proxmoxve, "scaleway": scaleway, "upcloud": upcloud.fetch, "vultr": vultr.fetch,
}

// Platforms are the ids that Fetch knows, sorted.
func Platforms() []string { return slices.Sorted(maps.Keys(providers)) }

// Known tells whether a platform can be asked.
func Known(id string) bool {
	_, ok := providers[Canonical(id)]
	return ok
}

// Canonical is the name of a platform that Fetch goes by.
func Canonical(id string) string {
	if name, ok := aliases[id]; ok {
		return name
	}
	return layout.PlatformID(id)
}

// Fetch asks a platform by its id.
func Fetch(ctx context.Context, id string, m Machine) (Data, error) {
	p, ok := providers[Canonical(id)]
	if !ok {
		return Data{}, fmt.Errorf("platform %q has no metadata; known are %s", id, strings.Join(Platforms(), ", "))
	}
	d, err := p(ctx, m)
	if err != nil {
		return Data{}, fmt.Errorf("asking %s for metadata: %w", id, err)
	}
	maps.DeleteFunc(d.Attributes, func(_, v string) bool { return v == "" })
	return d, nil
}
