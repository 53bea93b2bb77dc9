package layout

import (
	"slices"
	"strings"
	"testing"
)

func TestPlatforms(t *testing.T) {
	for name, want := range map[string]Platform{
		"openstack": {ID: "openstack", Word: "openstack", OEM: "openstack", Name: "OpenStack"},
		"gcp":       {ID: "gcp", Word: "gce", OEM: "gce", Name: "Google Compute Engine"},
		"pxe":       {ID: "metal", Word: "pxe", OEM: "pxe", Name: "bare metal"},
	} {
		if got, err := FindPlatform(name); got != want || err != nil {
			t.Errorf("%s is %+v, %v", name, got, err)
		}
	}
	for _, name := range []string{"aws", "ec2", "ami"} {
		if p, err := FindPlatform(name); p.ID != "aws" || p.Word != "ec2" || p.OEM != "ami" || err != nil {
			t.Errorf("%s is %+v, %v", name, p, err)
		}
	}
	for _, name := range []string{"", "OpenStack", "file", "moon"} {
		if _, err := FindPlatform(name); err == nil || !strings.Contains(err.Error(), "known are akamai, aliyun, ami, applehv, aws, azure, ") {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// TestPlatformNames: no name may lead to two platforms, and all of them must
// be safe in a shell script.
func TestPlatformNames(t *testing.T) {
	owner := map[string]string{}
	for _, p := range Platforms() {
		for _, name := range []string{p.ID, p.Word, p.OEM} {
			if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789") != "" || name == "" {
				t.Errorf("%q is no name", name)
			}
			if other, taken := owner[name]; taken && other != p.ID {
				t.Errorf("%s is %s and %s", name, other, p.ID)
			}
			owner[name] = p.ID
		}
		if p.Name == "" || strings.ContainsAny(p.Name+p.Append, "\"'\\$`") {
			t.Errorf("%s: name %q, words %q", p.ID, p.Name, p.Append)
		}
		if got := PlatformID(p.Word); got != p.ID {
			t.Errorf("the word %s leads to %s", p.Word, got)
		}
	}
	if !slices.IsSortedFunc(platforms, func(a, b Platform) int { return strings.Compare(a.ID, b.ID) }) {
		t.Error("not sorted")
	}
	for _, word := range []string{"", "mine"} {
		if got := PlatformID(word); got != word {
			t.Errorf("%q became %q", word, got)
		}
	}
}
