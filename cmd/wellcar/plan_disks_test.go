package main

import (
	"strings"
	"testing"
)

func TestDisksOfAPlan(t *testing.T) {
	disks, err := parseDisks([]string{"10G", "512M", "/dev/sdb=1G"})
	if err != nil || len(disks) != 3 {
		t.Fatal(disks, err)
	}
	if len(disks[0].Table.Partitions) != 7 || disks[0].Device != "/dev/vda" || disks[1].Device != "/dev/vdb" || disks[1].Size != 512<<20 || disks[2].Device != "/dev/sdb" {
		t.Errorf("%+v", disks)
	}
	for flag, want := range map[string]string{"1G": "must have at least 8G", "10X": "is no size", "sda=10G": "is no device"} {
		if _, err := parseDisks([]string{flag}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", flag, err, want)
		}
	}
}
