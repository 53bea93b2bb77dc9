package layout

import (
	"fmt"
	"slices"
	"strings"
)

// Platform is where a machine runs, as the OEM partition of an image says it.
//
// Source: what the images of Flatcar carry (flatcar/scripts,
// coreos-base/common-oem-files).
type Platform struct {
	ID     string // as provisioning names it
	Word   string // of flatcar.oem.id= on the kernel command line, and oem_id in grub.cfg
	OEM    string // ID in oem-release
	Name   string // NAME in oem-release: for people
	Append string // further words for the kernel; the consoles are those of every image
}

// platforms are sorted by ID.
var platforms = []Platform{
	{ID: "akamai", Name: "Akamai"},
	{ID: "aliyun", Name: "Alibaba Cloud"},
	{ID: "applehv", Name: "Apple Hypervisor"},
	{ID: "aws", Word: "ec2", OEM: "ami", Name: "Amazon EC2", Append: "modprobe.blacklist=xen_fbfront net.ifnames=0 nvme_core.io_timeout=4294967295"},
	{ID: "azure", Name: "Microsoft Azure"},
	{ID: "azurestack", Name: "Microsoft Azure Stack"},
	{ID: "brightbox", Name: "Brightbox"},
	{ID: "cloudstack", Name: "Apache CloudStack"},
	{ID: "digitalocean", Name: "DigitalOcean"},
	{ID: "exoscale", Name: "Exoscale"},
	{ID: "gcp", Word: "gce", OEM: "gce", Name: "Google Compute Engine"},
	{ID: "hetzner", Name: "Hetzner"},
	{ID: "hyperv", Name: "Microsoft Hyper-V"},
	{ID: "ibmcloud", Name: "IBM Cloud"},
	{ID: "kubevirt", Name: "KubeVirt"},
	{ID: "metal", Word: "pxe", OEM: "pxe", Name: "bare metal"},
	{ID: "nutanix", Name: "Nutanix"},
	{ID: "nvidiabluefield", Name: "NVIDIA BlueField"},
	{ID: "openstack", Name: "OpenStack"},
	{ID: "oraclecloud", Name: "Oracle Cloud"},
	{ID: "packet", Name: "Equinix Metal"},
	{ID: "powervs", Name: "IBM Power Virtual Server"},
	{ID: "proxmoxve", Name: "Proxmox VE"},
	{ID: "qemu", Name: "QEMU"},
	{ID: "scaleway", Name: "Scaleway"},
	{ID: "upcloud", Name: "UpCloud"},
	{ID: "virtualbox", Name: "VirtualBox"},
	{ID: "vmware", Name: "VMware"},
	{ID: "vultr", Name: "Vultr"},
	{ID: "zvm", Name: "IBM z/VM"},
}

// Platforms are the platforms that an image can be for, sorted by ID.
func Platforms() []Platform {
	out := slices.Clone(platforms)
	for i := range out {
		if p := &out[i]; p.Word == "" {
			p.Word, p.OEM = p.ID, p.ID
		}
	}
	return out
}

// FindPlatform knows a platform by any of its names.
func FindPlatform(name string) (Platform, error) {
	var known []string
	for _, p := range Platforms() {
		names := []string{p.ID, p.Word, p.OEM}
		if slices.Contains(names, name) {
			return p, nil
		}
		known = append(known, names...)
	}
	slices.Sort(known)
	return Platform{}, fmt.Errorf("there is no platform %q; known are %s", name, strings.Join(slices.Compact(known), ", "))
}

// PlatformID is how provisioning names the platform of a word of
// flatcar.oem.id=. Others than those of the list stay as they are.
func PlatformID(word string) string {
	for _, p := range platforms {
		if word != "" && p.Word == word {
			return p.ID
		}
	}
	return word
}
