package metadata

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// cloud answers requests "METHOD URL" and files "LABEL/NAME" from a table. A
// header that a request must have stands before the answer as "Name: value|".
func cloud(answers map[string]string) Machine {
	get := func(_ context.Context, r Request) ([]byte, error) {
		method := r.Method
		if method == "" {
			method = "GET"
		}
		answer, ok := answers[method+" "+r.URL]
		if !ok {
			return nil, fmt.Errorf("%s: %w", r.URL, ErrNotFound)
		}
		if needed, rest, ok := strings.Cut(answer, "|"); ok {
			name, value, _ := strings.Cut(needed, ": ")
			if r.Headers[name] != value {
				return nil, fmt.Errorf("%s without %s", r.URL, needed)
			}
			answer = rest
		}
		return []byte(answer), nil
	}
	drive := func(label, name string) ([]byte, error) {
		text, ok := answers[label+name]
		if !ok {
			return nil, ErrNotFound
		}
		return []byte(text), nil
	}
	return Machine{Get: get, Drive: drive}
}

const (
	at   = "GET http://169.254.169.254"
	key1 = "ssh-ed25519 AAAA one"
	key2 = "ssh-rsa BBBB two"
)

func prefixed(base, header string, answers map[string]string) map[string]string {
	out := map[string]string{}
	for path, text := range answers {
		if !strings.Contains(path, " ") {
			path = base + path
			if header != "" {
				text = header + "|" + text
			}
		}
		out[path] = text
	}
	return out
}

func TestFetch(t *testing.T) {
	for _, tc := range []struct {
		id, name string
		answers  map[string]string
		env      string // lines without COREOS_
		hostname string
		keys     []string
	}{
		{id: "ec2", answers: prefixed(at+"/2021-01-03/", "X-aws-ec2-metadata-token: tok", map[string]string{
			"PUT http://169.254.169.254/latest/api/token": "X-aws-ec2-metadata-token-ttl-seconds: 21600|tok",
			"meta-data/instance-id":                       "i-1", "meta-data/hostname": "ip-10-0-0-1.ec2.internal", "meta-data/local-ipv4": "10.0.0.1\n",
			"meta-data/placement/availability-zone": "eu-west-1a", "dynamic/instance-identity/document": `{"region":"eu-west-1"}`,
			"meta-data/public-keys": "0=mine\n1=yours", "meta-data/public-keys/0/openssh-key": key1, "meta-data/public-keys/1/openssh-key": key2 + "\n",
		}), hostname: "ip-10-0-0-1.ec2.internal", keys: []string{key1, key2},
			env: "EC2_AVAILABILITY_ZONE=eu-west-1a EC2_HOSTNAME=ip-10-0-0-1.ec2.internal EC2_INSTANCE_ID=i-1 EC2_IPV4_LOCAL=10.0.0.1 EC2_REGION=eu-west-1"},
		{id: "aws", name: "first version", answers: map[string]string{at + "/2021-01-03/meta-data/instance-id": "i-2"}, env: "EC2_INSTANCE_ID=i-2"},
		{id: "gce", answers: prefixed(at+"/computeMetadata/v1/", "Metadata-Flavor: Google", map[string]string{
			"instance/hostname": "web.c.p.internal", "instance/machine-type": "projects/1/machineTypes/e2",
			"instance/network-interfaces/0/ip": "10.0.0.1", "instance/attributes/ssh-keys": "core:" + key1, "project/attributes/ssh-keys": "a:" + key2,
		}), hostname: "web.c.p.internal", keys: []string{key1, key2},
			env: "GCE_HOSTNAME=web.c.p.internal GCE_IP_LOCAL_0=10.0.0.1 GCE_MACHINE_TYPE=projects/1/machineTypes/e2"},
		{id: "gcp", name: "own keys only", answers: prefixed(at+"/computeMetadata/v1/instance/attributes/", "", map[string]string{
			"ssh-keys": "core:" + key1, "block-project-ssh-keys": "true", at + "/computeMetadata/v1/project/attributes/ssh-keys": "a:" + key2,
		}), keys: []string{key1}},
		{id: "digitalocean", answers: map[string]string{at + "/metadata/v1.json": `{"hostname":"d","region":"fra1","public_keys":["` + key1 + `"],"interfaces":{
			"public":[{"ipv4":{"ip_address":"192.0.2.1"},"ipv6":{"ip_address":"2001:db8::1"},"anchor_ipv4":{"ip_address":"10.16.0.1"}}],"private":[{"ipv4":{"ip_address":"10.0.0.1"}}]}}`},
			hostname: "d", keys: []string{key1},
			env: "DIGITALOCEAN_HOSTNAME=d DIGITALOCEAN_IPV4_ANCHOR_0=10.16.0.1 DIGITALOCEAN_IPV4_PRIVATE_0=10.0.0.1 DIGITALOCEAN_IPV4_PUBLIC_0=192.0.2.1 DIGITALOCEAN_IPV6_PUBLIC_0=2001:db8::1 DIGITALOCEAN_REGION=fra1"},
		{id: "hetzner", answers: map[string]string{
			at + "/hetzner/v1/metadata": "availability-zone: nbg1-dc3\nhostname: h\ninstance-id: 42\npublic-ipv4: 192.0.2.1\nregion: eu-central\npublic-keys:\n- " + key1 +
				"\nnetwork-config:\n  version: 1\n  config:\n  - type: physical\n    name: eth0\n    subnets:\n    - type: dhcp\n      ipv4: true\n    - type: static\n      address: 2001:db8::1/64\n      ipv6: true\n",
			at + "/hetzner/v1/metadata/private-networks": "- ip: 10.0.0.2\n  network_id: 1\n"},
			hostname: "h", keys: []string{key1},
			env: "HETZNER_AVAILABILITY_ZONE=nbg1-dc3 HETZNER_HOSTNAME=h HETZNER_INSTANCE_ID=42 HETZNER_PRIVATE_IPV4_0=10.0.0.2 HETZNER_PUBLIC_IPV4=192.0.2.1 HETZNER_PUBLIC_IPV6=2001:db8::1 HETZNER_REGION=eu-central"},
		{id: "openstack-metadata", answers: prefixed(at+"/latest/meta-data/", "", map[string]string{
			"hostname": "o.novalocal", "instance-id": "i-1", "instance-type": "m1", "local-ipv4": "10.0.0.1", "public-ipv4": "",
			"public-keys": "0=k", "public-keys/0/openssh-key": key1, at + "/openstack/2012-08-10/meta_data.json": `{"uuid":"u-1"}`,
		}), hostname: "o.novalocal", keys: []string{key1},
			env: "OPENSTACK_HOSTNAME=o.novalocal OPENSTACK_INSTANCE_ID=i-1 OPENSTACK_INSTANCE_TYPE=m1 OPENSTACK_INSTANCE_UUID=u-1 OPENSTACK_IPV4_LOCAL=10.0.0.1"},
		{id: "openstack", name: "drive", answers: map[string]string{
			"config-2/openstack/latest/meta_data.json": `{"uuid":"u","hostname":"od","public_keys":{"k":"` + key1 + `\n"}}`,
			"config-2/ec2/latest/meta-data.json":       `{"instance-id":"i-2","local-ipv4":"10.0.0.9","block-device-mapping":{}}`},
			hostname: "od", keys: []string{key1}, env: "OPENSTACK_HOSTNAME=od OPENSTACK_INSTANCE_ID=i-2 OPENSTACK_INSTANCE_UUID=u OPENSTACK_IPV4_LOCAL=10.0.0.9"},
		{id: "scaleway", answers: map[string]string{"GET http://169.254.42.42/conf?format=json": `{"hostname":"s","id":"1","commercial_type":"DEV1","private_ip":"10.0.0.1",
			"public_ip":{"address":"192.0.2.1"},"ipv6":null,"location":{"zone_id":"par1"},"ssh_public_keys":[{"key":"` + key1 + `"}]}`}, hostname: "s", keys: []string{key1},
			env: "SCALEWAY_HOSTNAME=s SCALEWAY_INSTANCE_ID=1 SCALEWAY_INSTANCE_TYPE=DEV1 SCALEWAY_IPV4_PRIVATE=10.0.0.1 SCALEWAY_IPV4_PUBLIC=192.0.2.1 SCALEWAY_PRIVATE_IPV4=10.0.0.1 SCALEWAY_PUBLIC_IPV4=192.0.2.1 SCALEWAY_ZONE_ID=par1"},
		{id: "packet", answers: map[string]string{"GET https://metadata.packet.net/metadata": `{"hostname":"p","plan":"c3","ssh_keys":["` + key1 + `"],"phone_home_url":"http://t/phone-home",
			"network":{"addresses":[{"address_family":4,"public":true,"address":"192.0.2.1","gateway":"192.0.2.2"},{"address_family":4,"public":false,"address":"10.0.0.1","gateway":"10.0.0.2"},{"address_family":6,"public":true,"address":"2001:db8::1","gateway":"2001:db8::2"}]}}`},
			hostname: "p", keys: []string{key1},
			env: "PACKET_HOSTNAME=p PACKET_IPV4_PRIVATE_0=10.0.0.1 PACKET_IPV4_PRIVATE_GATEWAY_0=10.0.0.2 PACKET_IPV4_PUBLIC_0=192.0.2.1 PACKET_IPV4_PUBLIC_GATEWAY_0=192.0.2.2 PACKET_IPV6_PUBLIC_0=2001:db8::1 PACKET_IPV6_PUBLIC_GATEWAY_0=2001:db8::2 PACKET_PHONE_HOME_URL=http://t/phone-home PACKET_PLAN=c3"},
		{id: "oraclecloud", answers: map[string]string{at + "/opc/v2/instance": `Authorization: Bearer Oracle|{"availabilityDomain":"a","canonicalRegionName":"r","compartmentId":"c","faultDomain":"f","hostname":"or","id":"i","shape":"s","metadata":{"ssh_authorized_keys":"` + key1 + `\n"}}`},
			hostname: "or", keys: []string{key1},
			env: "ORACLECLOUD_AVAILABILITY_DOMAIN=a ORACLECLOUD_COMPARTMENT_ID=c ORACLECLOUD_FAULT_DOMAIN=f ORACLECLOUD_HOSTNAME=or ORACLECLOUD_INSTANCE_ID=i ORACLECLOUD_INSTANCE_SHAPE=s ORACLECLOUD_REGION_ID=r"},
		{id: "akamai", answers: prefixed(at+"/v1/", "Metadata-Token: tok", map[string]string{
			"PUT http://169.254.169.254/v1/token": "Metadata-Token-Expiry-Seconds: 300|tok",
			"instance":                            `{"id":7,"host_uuid":"h","label":"l","region":"r","type":"t","tags":["a","b"]}`,
			"network":                             `{"ipv4":{"public":["192.0.2.1/32"],"private":[],"shared":["10.0.0.1"]},"ipv6":{"slaac":"2001:db8::1/128","link_local":"fe80::1/128","ranges":["2001:db8:1::/56"],"shared_ranges":[]}}`,
			"ssh-keys":                            `{"users":{"core":["` + key1 + `"]}}`,
		}), keys: []string{key1},
			env: "AKAMAI_INSTANCE_HOST_UUID=h AKAMAI_INSTANCE_ID=7 AKAMAI_INSTANCE_LABEL=l AKAMAI_INSTANCE_REGION=r AKAMAI_INSTANCE_TAGS=a:b AKAMAI_INSTANCE_TYPE=t AKAMAI_IPV6_LINK_LOCAL=fe80::1/128 AKAMAI_IPV6_RANGE_0=2001:db8:1::/56 AKAMAI_IPV6_SLAAC=2001:db8::1/128 AKAMAI_PUBLIC_IPV4_0=192.0.2.1/32 AKAMAI_SHARED_IPV4_0=10.0.0.1"},
		{id: "azure", answers: map[string]string{
			at + "/metadata/instance/compute/vmSize?api-version=2017-08-01&format=text": "Metadata: true|Standard_B1",
			at + "/metadata/instance/compute/name?api-version=2017-08-01&format=text":   "Metadata: true|az",
			at + "/metadata/instance/compute/publicKeys?api-version=2021-02-01":         `Metadata: true|[{"keyData":"ssh-ed25519 AAAA\r\n one","path":"/x"}]`,
			"GET http://168.63.129.16/machine/?comp=goalstate": `x-ms-version: 2012-11-30|<GoalState><Incarnation>1</Incarnation><Container><ContainerId>c</ContainerId><RoleInstanceList><RoleInstance><InstanceId>i</InstanceId>
				<Configuration><SharedConfig>http://168.63.129.16/shared</SharedConfig></Configuration></RoleInstance></RoleInstanceList></Container></GoalState>`,
			"GET http://168.63.129.16/shared": `<SharedConfig><Incarnation number="1" instance="i"/><Instances><Instance id="other" address="10.9.9.9"/><Instance id="i" address="10.0.0.4"><InputEndpoints><Endpoint loadBalancedPublicAddress="192.0.2.4:22"/></InputEndpoints></Instance></Instances></SharedConfig>`},
			hostname: "az", keys: []string{key1}, env: "AZURE_IPV4_DYNAMIC=10.0.0.4 AZURE_IPV4_VIRTUAL=192.0.2.4 AZURE_VMSIZE=Standard_B1"},
		{id: "exoscale", answers: prefixed(at+"/1.0/meta-data/", "", map[string]string{"local-hostname": "e", "vm-id": "v", "public-keys": key1}), hostname: "e", keys: []string{key1},
			env: "EXOSCALE_LOCAL_HOSTNAME=e EXOSCALE_VM_ID=v"},
		{id: "vultr", answers: prefixed(at+"/v1/", "", map[string]string{"hostname": "v", "region/regioncode": "AMS"}), hostname: "v", env: "VULTR_HOSTNAME=v VULTR_REGION_CODE=AMS"},
		{id: "upcloud", answers: prefixed(at+"/metadata/v1/", "", map[string]string{"hostname": "u", "region": "fi"}), hostname: "u", env: "UPCLOUD_HOSTNAME=u UPCLOUD_REGION=fi"},
		{id: "aliyun", answers: map[string]string{"GET http://100.100.100.200/latest/meta-data/hostname": "al"}, hostname: "al", env: "ALIYUN_HOSTNAME=al"},
		{id: "cloudstack-configdrive", answers: map[string]string{"CONFIG-2/cloudstack/metadata/local_hostname.txt": "cs\n", "CONFIG-2/cloudstack/metadata/public_keys.txt": key1}, hostname: "cs", keys: []string{key1}, env: "CLOUDSTACK_LOCAL_HOSTNAME=cs"},
		{id: "kubevirt", answers: map[string]string{
			"cidata/meta-data": "instance-id: k\nlocal-hostname: kv\n", "cidata/network-config": "version: 1\nconfig:\n- type: physical\n  subnets:\n  - type: static\n    address: 10.0.0.1/24\n"},
			hostname: "kv", env: "KUBEVIRT_HOSTNAME=kv KUBEVIRT_INSTANCE_ID=k KUBEVIRT_IPV4=10.0.0.1"},
		{id: "proxmoxve", answers: map[string]string{"cidata/meta-data": "instance-id: p\n", "cidata/user-data": "#cloud-config\nhostname: pv\nssh_authorized_keys:\n- " + key1 + "\n"},
			hostname: "pv", keys: []string{key1}, env: "PROXMOXVE_HOSTNAME=pv PROXMOXVE_INSTANCE_ID=p"},
	} {
		d, err := Fetch(t.Context(), tc.id, cloud(tc.answers))
		if err != nil {
			t.Errorf("%s/%s: %v", tc.id, tc.name, err)
			continue
		}
		var want string
		for name := range strings.FieldsSeq(tc.env) {
			want += "COREOS_" + name + "\n"
		}
		if diff := cmp.Diff(want, string(d.Environment())); diff != "" {
			t.Errorf("%s/%s (-want +got):\n%s", tc.id, tc.name, diff)
		}
		if diff := cmp.Diff(tc.keys, d.Keys); diff != "" || d.Hostname != tc.hostname {
			t.Errorf("%s/%s: host name %q, keys\n%s", tc.id, tc.name, d.Hostname, diff)
		}
	}
}

func TestCheckIn(t *testing.T) {
	answers := map[string]string{
		"GET http://169.254.42.42/conf?format=json": `{}`, "PATCH http://169.254.42.42/state": "Content-Type: application/json|",
	}
	d, err := Fetch(t.Context(), "scaleway", cloud(answers))
	if err == nil {
		err = d.CheckIn(t.Context(), cloud(answers))
	}
	if err != nil {
		t.Error(err)
	}
	if g := (goalState{Incarnation: "<1>"}); !strings.Contains(g.ready().Body, "<GoalStateIncarnation>&lt;1&gt;<") {
		t.Error(g.ready().Body)
	}
}

func TestUnknownPlatform(t *testing.T) {
	if _, err := Fetch(t.Context(), "qemu", Machine{}); err == nil || !strings.Contains(err.Error(), `"qemu" has no metadata; known are akamai`) {
		t.Error(err)
	}
}

func TestShortName(t *testing.T) {
	for name, want := range map[string]string{"a.b.c": "a", "web\n": "web", strings.Repeat("x", 70) + ".y": strings.Repeat("x", 63), "": ""} {
		if got := ShortName(name); got != want {
			t.Errorf("%q: %q", name, got)
		}
	}
}

func TestEnvironmentStaysOneLine(t *testing.T) {
	d := Data{Attributes: map[string]string{"A": "x\nCOREOS_B=y"}}
	if got := string(d.Environment()); got != "COREOS_A=x COREOS_B=y\n" {
		t.Errorf("%q", got)
	}
}

func FuzzDocuments(f *testing.F) {
	f.Add([]byte(`{"hostname":"d","interfaces":{"public":[{"ipv4":null}]},"public_ip":null,"network":{"addresses":[{}]}}`))
	f.Add([]byte("hostname: h\nnetwork-config:\n  config:\n  - subnets:\n    - address: x\n"))
	f.Add([]byte("<GoalState/>"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m := Machine{
			Get:   func(context.Context, Request) ([]byte, error) { return data, nil },
			Drive: func(string, string) ([]byte, error) { return data, nil },
		}
		for _, id := range Platforms() {
			d, err := Fetch(t.Context(), id, m)
			if err == nil && strings.Count(string(d.Environment()), "\n") != len(d.Attributes) {
				t.Errorf("%s: %q", id, d.Environment())
			}
		}
	})
}
