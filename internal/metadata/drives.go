package metadata

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// values joins lists in the order of their keys.
func values[V any](m map[string][]V) []V {
	var out []V
	for _, name := range slices.Sorted(maps.Keys(m)) {
		out = append(out, m[name]...)
	}
	return out
}

func hetzner(ctx context.Context, m Machine) (Data, error) {
	const base = link + "/hetzner/v1/metadata"
	var v struct {
		Hostname         string
		InstanceID       string `yaml:"instance-id"`
		PublicIPv4       string `yaml:"public-ipv4"`
		AvailabilityZone string `yaml:"availability-zone"`
		Region           string
		Keys             []string        `yaml:"public-keys"`
		Network          noCloudNetworks `yaml:"network-config"`
	}
	if err := document(ctx, m, Request{URL: base}, &v); err != nil {
		return Data{}, err
	}
	var private []struct{ IP string }
	err := document(ctx, m, Request{URL: base + "/private-networks"}, &private)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Data{}, err
	}
	a := map[string]string{
		"HETZNER_AVAILABILITY_ZONE": v.AvailabilityZone, "HETZNER_HOSTNAME": v.Hostname, "HETZNER_INSTANCE_ID": v.InstanceID,
		"HETZNER_PUBLIC_IPV4": v.PublicIPv4, "HETZNER_REGION": v.Region, "HETZNER_PUBLIC_IPV6": v.Network.first(netip.Addr.Is6),
	}
	for i, n := range private {
		a[fmt.Sprintf("HETZNER_PRIVATE_IPV4_%d", i)] = n.IP
	}
	return Data{Attributes: a, Hostname: v.Hostname, Keys: v.Keys}, nil
}

// noCloudNetworks is version 1 of cloud-init's network configuration.
type noCloudNetworks struct {
	Config []struct {
		Type    string
		Subnets []struct{ Address string }
	}
}

// first is the first address of a kind.
func (n noCloudNetworks) first(is func(netip.Addr) bool) string {
	for _, c := range n.Config {
		for _, s := range c.Subnets {
			text, _, _ := strings.Cut(s.Address, "/")
			if address, err := netip.ParseAddr(text); err == nil && c.Type == "physical" && is(address) {
				return text
			}
		}
	}
	return ""
}

// openstackMeta is meta_data.json.
type openstackMeta struct {
	UUID, Hostname string
	Keys           map[string]string `json:"public_keys"`
}

var openstackNames = [][2]string{
	{"OPENSTACK_HOSTNAME", "hostname"}, {"OPENSTACK_INSTANCE_ID", "instance-id"}, {"OPENSTACK_INSTANCE_TYPE", "instance-type"},
	{"OPENSTACK_IPV4_LOCAL", "local-ipv4"}, {"OPENSTACK_IPV4_PUBLIC", "public-ipv4"},
}

// openstack reads the config drive if there is one, else the service.
func openstack(ctx context.Context, m Machine) (Data, error) {
	if text, err := driveText(m, "/openstack/latest/meta_data.json"); err != nil {
		return Data{}, err
	} else if text != "" {
		return openstackDrive(m, text)
	}
	service := paths{base: link + "/latest/meta-data/", attributes: openstackNames, hostname: "hostname"}
	d, err := service.fetch(ctx, m)
	if err != nil {
		return d, err
	}
	var meta openstackMeta
	err = document(ctx, m, Request{URL: link + "/openstack/2012-08-10/meta_data.json"}, &meta)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return d, err
	}
	d.Attributes["OPENSTACK_INSTANCE_UUID"] = meta.UUID
	d.Keys, err = ec2Keys(ctx, m, service, "public-keys")
	return d, err
}

func openstackDrive(m Machine, text string) (Data, error) {
	var meta openstackMeta
	if err := decode([]byte(text), &meta); err != nil {
		return Data{}, fmt.Errorf("reading meta_data.json of the config drive: %w", err)
	}
	d := Data{Hostname: meta.Hostname, Attributes: map[string]string{
		"OPENSTACK_HOSTNAME": meta.Hostname, "OPENSTACK_INSTANCE_UUID": meta.UUID,
	}}
	for _, name := range slices.Sorted(maps.Keys(meta.Keys)) {
		d.Keys = append(d.Keys, lines(meta.Keys[name])...)
	}
	ec2, err := driveText(m, "/ec2/latest/meta-data.json")
	if err != nil || ec2 == "" {
		return d, err
	}
	var values map[string]any
	if err := decode([]byte(ec2), &values); err != nil {
		return d, fmt.Errorf("reading meta-data.json of the config drive: %w", err)
	}
	for _, n := range openstackNames[1:] {
		if v, ok := values[n[1]].(string); ok {
			d.Attributes[n[0]] = v
		}
	}
	return d, nil
}

// kubevirt has a drive in the form of OpenStack or of cloud-init.
func kubevirt(_ context.Context, m Machine) (Data, error) {
	var meta struct {
		ID       string            `yaml:"instance-id" json:"instance_id"`
		UUID     string            `yaml:"uuid" json:"uuid"`
		Name     string            `yaml:"local-hostname" json:"local-hostname"`
		Hostname string            `yaml:"hostname" json:"hostname"`
		Type     string            `yaml:"instance-type" json:"instance_type"`
		Keys     map[string]string `yaml:"public-keys" json:"public_keys"`
	}
	text, err := driveText(m, "/openstack/latest/meta_data.json")
	if err != nil {
		return Data{}, err
	}
	var network noCloudNetworks
	if text == "" {
		if text, network, err = cidata(m); err != nil {
			return Data{}, err
		}
	}
	if err := decode([]byte(text), &meta); err != nil {
		return Data{}, fmt.Errorf("reading the metadata of the drive: %w", err)
	}
	d := Data{Hostname: or(meta.Hostname, meta.Name)}
	for _, name := range slices.Sorted(maps.Keys(meta.Keys)) {
		d.Keys = append(d.Keys, lines(meta.Keys[name])...)
	}
	d.Attributes = map[string]string{
		"KUBEVIRT_HOSTNAME": d.Hostname, "KUBEVIRT_INSTANCE_ID": or(meta.ID, meta.UUID), "KUBEVIRT_INSTANCE_TYPE": meta.Type,
		"KUBEVIRT_IPV4": network.first(netip.Addr.Is4), "KUBEVIRT_IPV6": network.first(netip.Addr.Is6),
	}
	return d, nil
}

// cidata reads the files of a drive in the form of cloud-init.
func cidata(m Machine) (meta string, network noCloudNetworks, err error) {
	data, err := m.Drive("cidata", "/meta-data")
	if err != nil {
		return "", network, fmt.Errorf("reading meta-data of the drive cidata: %w", err)
	}
	net, err := m.Drive("cidata", "/network-config")
	if err != nil && !errors.Is(err, ErrNotFound) {
		return "", network, err
	}
	if err := decode(net, &network); err != nil {
		return "", network, fmt.Errorf("reading network-config of the drive cidata: %w", err)
	}
	return string(data), network, nil
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// proxmoxve has the host name and the keys in its user data.
func proxmoxve(_ context.Context, m Machine) (Data, error) {
	text, network, err := cidata(m)
	if err != nil {
		return Data{}, err
	}
	var meta struct {
		ID string `yaml:"instance-id"`
	}
	if err := decode([]byte(text), &meta); err != nil {
		return Data{}, fmt.Errorf("reading meta-data of the drive cidata: %w", err)
	}
	var user struct {
		Hostname string
		Keys     []string `yaml:"ssh_authorized_keys"`
	}
	data, err := m.Drive("cidata", "/user-data")
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Data{}, err
	}
	if strings.HasPrefix(string(data), "#cloud-config") {
		if err := decode(data, &user); err != nil {
			return Data{}, fmt.Errorf("reading user-data of the drive cidata: %w", err)
		}
	}
	return Data{Hostname: user.Hostname, Keys: user.Keys, Attributes: map[string]string{
		"PROXMOXVE_HOSTNAME": user.Hostname, "PROXMOXVE_INSTANCE_ID": meta.ID,
		"PROXMOXVE_IPV4": network.first(netip.Addr.Is4), "PROXMOXVE_IPV6": network.first(netip.Addr.Is6),
	}}, nil
}
