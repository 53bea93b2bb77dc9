//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"wellcar.dev/internal/cloudinit"
	"wellcar.dev/internal/format/cmdline"
	"wellcar.dev/internal/metadata"
	"wellcar.dev/internal/provision/platform"
	"wellcar.dev/internal/sys/vmguest"
)

// cloudinitSource is a place with user data.
type cloudinitSource struct {
	name  string
	there func() bool // nil: a network, which is asked until it answers
	fetch func(ctx context.Context) ([]byte, cloudFacts, error)
}

// sourceTimeout is how long a source may take to appear.
const sourceTimeout = 5 * time.Minute

// choose takes the first source that is there. What is on this machine comes
// before a network.
func choose(ctx context.Context, all []cloudinitSource) (cloudinitSource, error) {
	ctx, cancel := context.WithTimeout(ctx, sourceTimeout)
	defer cancel()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		for _, s := range all {
			if s.there == nil || s.there() {
				return s, nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return cloudinitSource{}, errNoSource
		}
	}
}

func exists(name string) func() bool {
	return func() bool { _, err := os.Stat(name); return err == nil }
}

func (c *initializing) sources() []cloudinitSource {
	var all []cloudinitSource
	add := func(on bool, s cloudinitSource) {
		if on {
			all = append(all, s)
		}
	}
	add(c.file != "", cloudinitSource{c.file, exists(c.file), plainFile(c.file)})
	add(c.configDrive != "", cloudinitSource{c.configDrive, exists(c.configDrive), func(context.Context) ([]byte, cloudFacts, error) { return readConfigDrive(c.configDrive) }})
	add(c.waagent != "", cloudinitSource{c.waagent, exists(filepath.Join(c.waagent, "provisioned")), func(context.Context) ([]byte, cloudFacts, error) { return readWaagent(c.waagent) }})
	add(c.ovfEnv != "", cloudinitSource{c.ovfEnv, exists(c.ovfEnv), func(context.Context) ([]byte, cloudFacts, error) { return readOVF(c.ovfEnv) }})
	add(c.vmware, cloudinitSource{"guestinfo", vmguest.Available, func(context.Context) ([]byte, cloudFacts, error) { return readGuestinfo(vmguest.Get) }})
	address := cmdlineAddress()
	add(c.cmdline && address != "", cloudinitSource{name: address, fetch: c.fromURL(address)})
	add(c.url != "", cloudinitSource{name: c.url, fetch: c.fromURL(c.url)})
	add(c.ec2 != "", cloudinitSource{name: c.ec2, fetch: c.fromCloud("aws", c.ec2)})
	add(c.gce != "", cloudinitSource{name: c.gce, fetch: c.fromCloud("gcp", c.gce)})
	add(c.digitalOcean != "", cloudinitSource{name: c.digitalOcean, fetch: c.fromCloud("digitalocean", c.digitalOcean)})
	return all
}

func plainFile(name string) func(context.Context) ([]byte, cloudFacts, error) {
	return func(context.Context) ([]byte, cloudFacts, error) {
		data, err := os.ReadFile(name)
		return data, cloudFacts{}, err
	}
}

// cmdlineAddress is that of the user data on the kernel command line.
func cmdlineAddress() string {
	line, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return ""
	}
	address, _ := cmdline.Parse(string(line)).First("cloud-config-url", "cloud_config_url")
	return address
}

func (c *initializing) get(ctx context.Context, url string) ([]byte, error) {
	return getter("", metadataTimeout, c.logf)(ctx, platform.Call{URL: url})
}

func (c *initializing) fromURL(address string) func(context.Context) ([]byte, cloudFacts, error) {
	return func(ctx context.Context) ([]byte, cloudFacts, error) {
		data, err := c.get(ctx, address)
		return data, cloudFacts{}, err
	}
}

// userData are the paths of user data by the id of the platform.
var userData = map[string]string{
	"aws": "/2009-04-04/user-data", "gcp": "/computeMetadata/v1/instance/attributes/user-data", "digitalocean": "/metadata/v1/user-data",
}

// fromCloud asks a metadata service, at an address that may be another than
// the usual one.
func (c *initializing) fromCloud(id, root string) func(context.Context) ([]byte, cloudFacts, error) {
	root = strings.TrimSuffix(root, "/")
	return func(ctx context.Context) ([]byte, cloudFacts, error) {
		m := metadataMachine(id, metadataTimeout, c.logf)
		usual := m.Get
		headers := map[string]string{}
		m.Get = func(ctx context.Context, r metadata.Request) ([]byte, error) {
			r.URL = root + strings.TrimPrefix(r.URL, strings.TrimSuffix(linkLocal, "/"))
			if r.Method == "" {
				headers = r.Headers // with the token, for the user data
			}
			return usual(ctx, r)
		}
		d, err := metadata.Fetch(ctx, id, m)
		if err != nil {
			return nil, cloudFacts{}, err
		}
		text, err := usual(ctx, metadata.Request{URL: root + userData[id], Headers: headers})
		if errors.Is(err, metadata.ErrNotFound) {
			text, err = nil, nil
		}
		return text, factsOf(d), err
	}
}

func factsOf(d metadata.Data) cloudFacts {
	first := func(names ...string) string {
		for _, n := range names {
			if v := d.Attributes[n]; v != "" {
				return v
			}
		}
		return ""
	}
	return cloudFacts{Facts: cloudinit.Facts{Hostname: d.Hostname, Keys: d.Keys, Values: cloudinit.Values{
		PublicIPv4:  first("EC2_IPV4_PUBLIC", "GCE_IP_EXTERNAL_0", "DIGITALOCEAN_IPV4_PUBLIC_0"),
		PrivateIPv4: first("EC2_IPV4_LOCAL", "GCE_IP_LOCAL_0", "DIGITALOCEAN_IPV4_PRIVATE_0"),
		PublicIPv6:  first("EC2_IPV6", "DIGITALOCEAN_IPV6_PUBLIC_0"),
		PrivateIPv6: first("DIGITALOCEAN_IPV6_PRIVATE_0"),
	}}}
}

// readIfThere reads a file that may be missing.
func readIfThere(name string) ([]byte, error) {
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

// readConfigDrive reads a drive in the form of OpenStack.
func readConfigDrive(dir string) ([]byte, cloudFacts, error) {
	var facts cloudFacts
	base := filepath.Join(dir, "openstack/latest")
	text, err := readIfThere(filepath.Join(base, "meta_data.json"))
	if err != nil {
		return nil, facts, err
	}
	var meta struct {
		Hostname string
		Keys     map[string]string `json:"public_keys"`
	}
	if len(text) > 0 {
		if err := json.Unmarshal(text, &meta); err != nil {
			return nil, facts, fmt.Errorf("reading meta_data.json: %w", err)
		}
	}
	facts.Hostname = meta.Hostname
	for _, key := range meta.Keys {
		facts.Keys = append(facts.Keys, strings.TrimSpace(key))
	}
	data, err := readIfThere(filepath.Join(base, "user_data"))
	return data, facts, err
}

// readWaagent reads what the agent of Azure left.
func readWaagent(dir string) ([]byte, cloudFacts, error) {
	var facts cloudFacts
	text, err := readIfThere(filepath.Join(dir, "SharedConfig.xml"))
	if err != nil {
		return nil, facts, err
	}
	if len(text) > 0 {
		if facts.Values.PrivateIPv4, facts.Values.PublicIPv4, err = metadata.SharedConfig(text); err != nil {
			return nil, facts, fmt.Errorf("reading SharedConfig.xml: %w", err)
		}
	}
	data, err := readIfThere(filepath.Join(dir, "CustomData"))
	return data, facts, err
}

func readOVF(file string) ([]byte, cloudFacts, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, cloudFacts{}, err
	}
	properties, err := platform.OVFProperties(text)
	if err != nil {
		return nil, cloudFacts{}, err
	}
	return readGuestinfo(func(key string) (string, error) { return properties["guestinfo."+key], nil })
}

// readGuestinfo reads user data, host name and network of VMware's.
func readGuestinfo(read func(key string) (string, error)) ([]byte, cloudFacts, error) {
	g, err := cloudinit.ReadGuestinfo(read)
	if err != nil {
		return nil, cloudFacts{}, err
	}
	return g.UserData, cloudFacts{Facts: g.Facts, network: g.Network}, nil
}
