package metadata

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// ec2Names are the attributes of EC2 below meta-data.
var ec2Names = [][2]string{
	{"EC2_INSTANCE_ID", "meta-data/instance-id"}, {"EC2_INSTANCE_TYPE", "meta-data/instance-type"},
	{"EC2_IPV4_LOCAL", "meta-data/local-ipv4"}, {"EC2_IPV4_PUBLIC", "meta-data/public-ipv4"},
	{"EC2_IPV6", "meta-data/ipv6"}, {"EC2_AVAILABILITY_ZONE", "meta-data/placement/availability-zone"},
	{"EC2_AVAILABILITY_ZONE_ID", "meta-data/placement/availability-zone-id"},
	{"EC2_HOSTNAME", "meta-data/hostname"}, {"EC2_PUBLIC_HOSTNAME", "meta-data/public-hostname"},
}

// aws asks for a token, and goes without one where the service knows none.
func aws(ctx context.Context, m Machine) (Data, error) {
	service := paths{base: link + "/2021-01-03/", attributes: ec2Names, hostname: "meta-data/hostname"}
	token, err := m.Get(ctx, Request{Method: "PUT", URL: link + "/latest/api/token",
		Headers: map[string]string{"X-aws-ec2-metadata-token-ttl-seconds": "21600"}})
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Data{}, fmt.Errorf("getting a token: %w", err)
	}
	if len(token) > 0 {
		service.headers = map[string]string{"X-aws-ec2-metadata-token": string(token)}
	}
	d, err := service.fetch(ctx, m)
	if err != nil {
		return d, err
	}
	document, err := service.text(ctx, m, "dynamic/instance-identity/document")
	if err != nil {
		return d, err
	}
	var identity struct{ Region string }
	if document != "" {
		if err := json.Unmarshal([]byte(document), &identity); err != nil {
			return d, fmt.Errorf("reading the identity document: %w", err)
		}
	}
	d.Attributes["EC2_REGION"] = identity.Region
	d.Keys, err = ec2Keys(ctx, m, service, "meta-data/public-keys")
	return d, err
}

// ec2Keys reads the list 0=NAME of keys, and each of them.
func ec2Keys(ctx context.Context, m Machine, service paths, base string) ([]string, error) {
	list, err := service.text(ctx, m, base)
	if err != nil {
		return nil, err
	}
	var keys []string
	for _, line := range lines(list) {
		number, _, ok := strings.Cut(line, "=")
		if !ok {
			return nil, fmt.Errorf("reading the list of SSH keys: the line %q has no =", line)
		}
		key, err := service.text(ctx, m, base+"/"+number+"/openssh-key")
		if err != nil {
			return nil, err
		}
		keys = append(keys, lines(key)...)
	}
	return keys, nil
}

// gcp has its keys at the instance, and at the project unless the instance
// forbids those.
func gcp(ctx context.Context, m Machine) (Data, error) {
	service := paths{
		base: link + "/computeMetadata/v1/", headers: map[string]string{"Metadata-Flavor": "Google"},
		attributes: [][2]string{
			{"GCE_HOSTNAME", "instance/hostname"}, {"GCE_MACHINE_TYPE", "instance/machine-type"},
			{"GCE_IP_EXTERNAL_0", "instance/network-interfaces/0/access-configs/0/external-ip"},
			{"GCE_IP_LOCAL_0", "instance/network-interfaces/0/ip"},
		},
		hostname: "instance/hostname",
	}
	d, err := service.fetch(ctx, m)
	if err != nil {
		return d, err
	}
	d.Keys, err = gcpKeys(ctx, m, service)
	return d, err
}

func gcpKeys(ctx context.Context, m Machine, service paths) ([]string, error) {
	var all []string
	add := func(path string) (bool, error) {
		text, err := service.text(ctx, m, path)
		for _, line := range lines(text) {
			if _, key, ok := strings.Cut(line, ":"); ok { // USER:KEY
				all = append(all, strings.TrimSpace(key))
			}
		}
		return text != "", err
	}
	own, err := add("instance/attributes/sshKeys")
	if err != nil || own {
		return all, err // the old name stands alone
	}
	if _, err := add("instance/attributes/ssh-keys"); err != nil {
		return nil, err
	}
	block, err := service.text(ctx, m, "instance/attributes/block-project-ssh-keys")
	if err != nil || block == "true" {
		return all, err
	}
	for _, path := range []string{"project/attributes/sshKeys", "project/attributes/ssh-keys"} {
		if _, err := add(path); err != nil {
			return nil, err
		}
	}
	return all, nil
}
