package metadata

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// document asks for one text and reads it: JSON, which is YAML too.
func document(ctx context.Context, m Machine, r Request, into any) error {
	data, err := m.Get(ctx, r)
	if err != nil {
		return err
	}
	if err := decode(data, into); err != nil {
		return fmt.Errorf("reading the answer of %s: %w", r.URL, err)
	}
	return nil
}

func decode(data []byte, into any) error {
	if strings.HasPrefix(strings.TrimSpace(string(data)), "{") {
		return json.Unmarshal(data, into)
	}
	return yaml.Unmarshal(data, into)
}

// numbered adds NAME_0, NAME_1 and so on.
func numbered(attributes map[string]string, name string, values []string) {
	for i, v := range values {
		attributes[name+"_"+strconv.Itoa(i)] = v
	}
}

type doAddress struct {
	Address string `json:"ip_address"`
}

type doInterface struct {
	IPv4   *doAddress `json:"ipv4"`
	IPv6   *doAddress `json:"ipv6"`
	Anchor *doAddress `json:"anchor_ipv4"`
}

func digitalocean(ctx context.Context, m Machine) (Data, error) {
	var v struct {
		Hostname, Region string
		Keys             []string `json:"public_keys"`
		Interfaces       struct{ Public, Private []doInterface }
	}
	if err := document(ctx, m, Request{URL: link + "/metadata/v1.json"}, &v); err != nil {
		return Data{}, err
	}
	a := map[string]string{"DIGITALOCEAN_HOSTNAME": v.Hostname, "DIGITALOCEAN_REGION": v.Region}
	set := func(kind string, i int, address *doAddress) {
		if address != nil {
			a[fmt.Sprintf("DIGITALOCEAN_%s_%d", kind, i)] = address.Address
		}
	}
	for i, n := range v.Interfaces.Public {
		set("IPV4_PUBLIC", i, n.IPv4)
		set("IPV6_PUBLIC", i, n.IPv6)
		set("IPV4_ANCHOR", i, n.Anchor)
	}
	for i, n := range v.Interfaces.Private {
		set("IPV4_PRIVATE", i, n.IPv4)
		set("IPV6_PRIVATE", i, n.IPv6)
	}
	return Data{Attributes: a, Hostname: v.Hostname, Keys: v.Keys}, nil
}

func scaleway(ctx context.Context, m Machine) (Data, error) {
	var v struct {
		Hostname, ID string
		Type         string                   `json:"commercial_type"`
		PrivateIP    string                   `json:"private_ip"`
		PublicIP     struct{ Address string } `json:"public_ip"`
		IPv6         struct{ Address string }
		Location     struct {
			Zone string `json:"zone_id"`
		}
		Keys []struct{ Key string } `json:"ssh_public_keys"`
	}
	if err := document(ctx, m, Request{URL: "http://169.254.42.42/conf?format=json"}, &v); err != nil {
		return Data{}, err
	}
	d := Data{Hostname: v.Hostname, Attributes: map[string]string{
		"SCALEWAY_HOSTNAME": v.Hostname, "SCALEWAY_INSTANCE_ID": v.ID, "SCALEWAY_INSTANCE_TYPE": v.Type, "SCALEWAY_ZONE_ID": v.Location.Zone,
		// The documents and the code of afterburn differ in these names.
		"SCALEWAY_PRIVATE_IPV4": v.PrivateIP, "SCALEWAY_PUBLIC_IPV4": v.PublicIP.Address, "SCALEWAY_PUBLIC_IPV6": v.IPv6.Address,
		"SCALEWAY_IPV4_PRIVATE": v.PrivateIP, "SCALEWAY_IPV4_PUBLIC": v.PublicIP.Address, "SCALEWAY_IPV6_PUBLIC": v.IPv6.Address,
	}}
	for _, k := range v.Keys {
		d.Keys = append(d.Keys, k.Key)
	}
	d.checkIn = &Request{Method: "PATCH", URL: "http://169.254.42.42/state", Body: `{"state_detail":"booted"}`,
		Headers: map[string]string{"Content-Type": "application/json"}}
	return d, nil
}

func packet(ctx context.Context, m Machine) (Data, error) {
	var v struct {
		Hostname, Plan string
		Keys           []string `json:"ssh_keys"`
		PhoneHome      string   `json:"phone_home_url"`
		Network        struct {
			Addresses []struct {
				Family           int `json:"address_family"`
				Public           bool
				Address, Gateway string
			}
		}
	}
	if err := document(ctx, m, Request{URL: "https://metadata.packet.net/metadata"}, &v); err != nil {
		return Data{}, err
	}
	a := map[string]string{"PACKET_HOSTNAME": v.Hostname, "PACKET_PLAN": v.Plan, "PACKET_PHONE_HOME_URL": v.PhoneHome}
	count := map[string]int{}
	for _, address := range v.Network.Addresses {
		kind := fmt.Sprintf("PACKET_IPV%d_PRIVATE", address.Family)
		if address.Public {
			kind = fmt.Sprintf("PACKET_IPV%d_PUBLIC", address.Family)
		}
		a[fmt.Sprintf("%s_%d", kind, count[kind])] = address.Address
		a[fmt.Sprintf("%s_GATEWAY_%d", kind, count[kind])] = address.Gateway
		count[kind]++
	}
	d := Data{Attributes: a, Hostname: v.Hostname, Keys: v.Keys}
	if v.PhoneHome != "" {
		d.checkIn = &Request{Method: "POST", URL: v.PhoneHome}
	}
	return d, nil
}

func oraclecloud(ctx context.Context, m Machine) (Data, error) {
	var v struct {
		AvailabilityDomain, CanonicalRegionName, CompartmentID, FaultDomain, Hostname, ID, Shape string

		Metadata struct {
			Keys string `json:"ssh_authorized_keys"`
		}
	}
	r := Request{URL: link + "/opc/v2/instance", Headers: map[string]string{"Authorization": "Bearer Oracle"}}
	if err := document(ctx, m, r, &v); err != nil {
		return Data{}, err
	}
	return Data{Hostname: v.Hostname, Keys: lines(v.Metadata.Keys), Attributes: map[string]string{
		"ORACLECLOUD_AVAILABILITY_DOMAIN": v.AvailabilityDomain, "ORACLECLOUD_COMPARTMENT_ID": v.CompartmentID,
		"ORACLECLOUD_FAULT_DOMAIN": v.FaultDomain, "ORACLECLOUD_HOSTNAME": v.Hostname, "ORACLECLOUD_INSTANCE_ID": v.ID,
		"ORACLECLOUD_INSTANCE_SHAPE": v.Shape, "ORACLECLOUD_REGION_ID": v.CanonicalRegionName,
	}}, nil
}

func akamai(ctx context.Context, m Machine) (Data, error) {
	token, err := m.Get(ctx, Request{Method: "PUT", URL: link + "/v1/token", Headers: map[string]string{"Metadata-Token-Expiry-Seconds": "300"}})
	if err != nil {
		return Data{}, fmt.Errorf("getting a token: %w", err)
	}
	headers := map[string]string{"Metadata-Token": string(token), "Accept": "application/json"}
	var v struct {
		ID                  json.Number
		HostUUID            string `json:"host_uuid"`
		Label, Region, Type string
		Tags                []string
	}
	var n struct {
		IPv4 struct{ Public, Private, Shared []string }
		IPv6 struct {
			SLAAC  string
			Link   string   `json:"link_local"`
			Ranges []string `json:"ranges"`
			Shared []string `json:"shared_ranges"`
		}
	}
	var k struct{ Users map[string][]string }
	for path, into := range map[string]any{"instance": &v, "network": &n, "ssh-keys": &k} {
		if err := document(ctx, m, Request{URL: link + "/v1/" + path, Headers: headers}, into); err != nil {
			return Data{}, err
		}
	}
	a := map[string]string{
		"AKAMAI_INSTANCE_ID": v.ID.String(), "AKAMAI_INSTANCE_HOST_UUID": v.HostUUID, "AKAMAI_INSTANCE_LABEL": v.Label,
		"AKAMAI_INSTANCE_REGION": v.Region, "AKAMAI_INSTANCE_TYPE": v.Type, "AKAMAI_INSTANCE_TAGS": strings.Join(v.Tags, ":"),
		"AKAMAI_IPV6_SLAAC": n.IPv6.SLAAC, "AKAMAI_IPV6_LINK_LOCAL": n.IPv6.Link,
	}
	numbered(a, "AKAMAI_PUBLIC_IPV4", n.IPv4.Public)
	numbered(a, "AKAMAI_PRIVATE_IPV4", n.IPv4.Private)
	numbered(a, "AKAMAI_SHARED_IPV4", n.IPv4.Shared)
	numbered(a, "AKAMAI_IPV6_RANGE", n.IPv6.Ranges)
	numbered(a, "AKAMAI_IPV6_SHARED_RANGE", n.IPv6.Shared)
	return Data{Attributes: a, Keys: values(k.Users)}, nil
}
