package main

import (
	"regexp"
	"strings"
	"testing"

	"wellcar.dev/internal/lock"
)

func pkg(name, version string) lock.Package {
	return lock.Package{Name: name, Version: version, Architecture: "amd64", Groups: []string{"image"}}
}

func TestMixLocks(t *testing.T) {
	current := lock.Lock{Packages: []lock.Package{pkg("bash", "2"), pkg("libssl3", "2"), pkg("linux-image-6.12.2-amd64", "6.12.2"), pkg("new", "1")}}
	before := lock.Lock{Packages: []lock.Package{pkg("bash", "1"), pkg("libssl3", "1"), pkg("linux-image-6.12.1-amd64", "6.12.1")}}
	mixed, changes := mixLocks(current, before, regexp.MustCompile("ssl|linux"))
	var ids []string
	for _, p := range mixed.Packages {
		ids = append(ids, p.ID())
	}
	want := "bash_2_amd64 libssl3_1_amd64 linux-image-6.12.1-amd64_6.12.1_amd64 new_1_amd64"
	if got := strings.Join(ids, " "); got != want || len(changes) != 2 {
		t.Errorf("%s with changes %q", got, changes)
	}
}

func TestUpdateFlags(t *testing.T) {
	for _, bad := range [][]string{{}, {"-old", "a"}, {"-old-lock", "a", "-old", "b", "-new", "c"}} {
		if _, err := parseUpdate(bad); err == nil {
			t.Errorf("%q were accepted", bad)
		}
	}
	if o, err := parseUpdate([]string{"-old", "a", "-new", "b", "-cache", "/c"}); err != nil || o.next != "b" || o.cache != "/c" {
		t.Errorf("%+v, %v", o, err)
	}
}
