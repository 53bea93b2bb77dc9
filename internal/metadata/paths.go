package metadata

import (
	"context"
	"errors"
	"strings"
)

const link = "http://169.254.169.254"

// paths is a service that answers with one plain text per path.
type paths struct {
	base       string
	headers    map[string]string
	attributes [][2]string // name, path
	hostname   string      // path; "": none
	keys       string      // path of a list, one per line; "": none
}

func (p paths) fetch(ctx context.Context, m Machine) (Data, error) {
	d := Data{Attributes: map[string]string{}}
	var err error
	for _, a := range p.attributes {
		if d.Attributes[a[0]], err = p.text(ctx, m, a[1]); err != nil {
			return d, err
		}
	}
	if p.hostname != "" {
		if d.Hostname, err = p.text(ctx, m, p.hostname); err != nil {
			return d, err
		}
	}
	if p.keys != "" {
		keys, err := p.text(ctx, m, p.keys)
		if err != nil {
			return d, err
		}
		d.Keys = lines(keys)
	}
	return d, nil
}

// text asks for a path; what is not there is "".
func (p paths) text(ctx context.Context, m Machine, path string) (string, error) {
	data, err := m.Get(ctx, Request{URL: p.base + path, Headers: p.headers})
	if errors.Is(err, ErrNotFound) {
		return "", nil
	}
	return strings.TrimRight(string(data), "\r\n"), err
}

// lines are those with something in them.
func lines(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return out
}

var exoscale = paths{
	base: link + "/1.0/meta-data/",
	attributes: [][2]string{
		{"EXOSCALE_INSTANCE_ID", "instance-id"}, {"EXOSCALE_LOCAL_HOSTNAME", "local-hostname"},
		{"EXOSCALE_PUBLIC_HOSTNAME", "public-hostname"}, {"EXOSCALE_AVAILABILITY_ZONE", "availability-zone"},
		{"EXOSCALE_PUBLIC_IPV4", "public-ipv4"}, {"EXOSCALE_LOCAL_IPV4", "local-ipv4"},
		{"EXOSCALE_SERVICE_OFFERING", "service-offering"}, {"EXOSCALE_CLOUD_IDENTIFIER", "cloud-identifier"},
		{"EXOSCALE_VM_ID", "vm-id"},
	},
	hostname: "local-hostname", keys: "public-keys",
}

var vultr = paths{
	base: link + "/v1/",
	attributes: [][2]string{
		{"VULTR_HOSTNAME", "hostname"}, {"VULTR_INSTANCE_ID", "instanceid"}, {"VULTR_REGION_CODE", "region/regioncode"},
	},
	hostname: "hostname", keys: "public-keys",
}

var upcloud = paths{
	base: link + "/metadata/v1/",
	attributes: [][2]string{
		{"UPCLOUD_HOSTNAME", "hostname"}, {"UPCLOUD_INSTANCE_ID", "instance_id"}, {"UPCLOUD_REGION", "region"},
	},
	hostname: "hostname", keys: "public_keys",
}

var aliyun = paths{
	base: "http://100.100.100.200/latest/meta-data/",
	attributes: [][2]string{
		{"ALIYUN_EIPV4", "eipv4"}, {"ALIYUN_HOSTNAME", "hostname"}, {"ALIYUN_IMAGE_ID", "image-id"},
		{"ALIYUN_INSTANCE_ID", "instance-id"}, {"ALIYUN_INSTANCE_TYPE", "instance/instance-type"},
		{"ALIYUN_IPV4_PRIVATE", "private-ipv4"}, {"ALIYUN_IPV4_PUBLIC", "public-ipv4"},
		{"ALIYUN_REGION_ID", "region-id"}, {"ALIYUN_VPC_ID", "vpc-id"}, {"ALIYUN_ZONE_ID", "zone-id"},
	},
	hostname: "hostname", keys: "public-keys/0/openssh-key",
}

// cloudstack reads its config drive; the address of its server is that of a
// lease and has the same names.
func cloudstack(_ context.Context, m Machine) (Data, error) {
	d := Data{Attributes: map[string]string{}}
	for name, file := range map[string]string{
		"AVAILABILITY_ZONE": "availability_zone", "INSTANCE_ID": "instance_id", "SERVICE_OFFERING": "service_offering",
		"CLOUD_IDENTIFIER": "cloud_identifier", "LOCAL_HOSTNAME": "local_hostname", "VM_ID": "vm_id",
	} {
		text, err := driveText(m, "/cloudstack/metadata/"+file+".txt")
		if err != nil {
			return d, err
		}
		d.Attributes["CLOUDSTACK_"+name] = text
	}
	d.Hostname = d.Attributes["CLOUDSTACK_LOCAL_HOSTNAME"]
	keys, err := driveText(m, "/cloudstack/metadata/public_keys.txt")
	d.Keys = lines(keys)
	return d, err
}

// driveText reads a file of the config drive; what is not there is "".
func driveText(m Machine, name string) (string, error) {
	for _, label := range []string{"config-2", "CONFIG-2"} {
		data, err := m.Drive(label, name)
		if err == nil || !errors.Is(err, ErrNotFound) {
			return strings.TrimRight(string(data), "\r\n"), err
		}
	}
	return "", nil
}
