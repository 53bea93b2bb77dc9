package lock

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func sample() Lock {
	return Lock{
		Version: Version, Architecture: "amd64",
		Suites: []Suite{{Archive: "debian", Name: "trixie", Date: "2026-01-15T09:00:00Z", SHA256: "ab12"}},
		Packages: []Package{
			{Name: "bash", Version: "5.2.37-2", Architecture: "amd64", Archive: "debian", Path: "pool/main/b/bash/bash_5.2.37-2_amd64.deb",
				Size: 1500000, SHA256: "cd34", Groups: []string{"image", "tools"}},
			{Name: "libc6", Version: "2.41-12", Architecture: "amd64", Source: "glibc", Archive: "debian", Path: "pool/main/g/glibc/libc6_2.41-12_amd64.deb",
				Size: 2800000, SHA256: "ef56", Groups: []string{"image"}},
			{Name: "libc6", Version: "2.41-9", Architecture: "amd64", Source: "glibc", Archive: "debian-security", Path: "pool/x_all.deb",
				Size: 1, SHA256: "0078", Groups: []string{"container-web"}},
		},
	}
}

func marshal(t *testing.T, l Lock) []byte {
	t.Helper()
	data, err := Marshal(l)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestRoundTrip(t *testing.T) {
	want := sample()
	data := marshal(t, want)
	got, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if again := marshal(t, got); !bytes.Equal(data, again) {
		t.Errorf("read and written again:\n%s", again)
	}
}

// TestText holds the form of the file: a reader sees a diff of few lines.
func TestText(t *testing.T) {
	l := sample()
	l.Suites, l.Packages = []Suite{}, l.Packages[:1]
	want := `{
 "version": 1,
 "architecture": "amd64",
 "suites": [],
 "packages": [
  {
   "name": "bash",
   "version": "5.2.37-2",
   "architecture": "amd64",
   "archive": "debian",
   "path": "pool/main/b/bash/bash_5.2.37-2_amd64.deb",
   "size": 1500000,
   "sha256": "cd34",
   "groups": [
    "image",
    "tools"
   ]
  }
 ]
}
`
	if diff := cmp.Diff(want, string(marshal(t, l))); diff != "" {
		t.Error(diff)
	}
}

func TestOrderDoesNotMatter(t *testing.T) {
	want := marshal(t, sample())
	l := sample()
	l.Version = 0 // Marshal writes its own
	slices.Reverse(l.Packages)
	before := slices.Clone(l.Packages)
	if got := marshal(t, l); !bytes.Equal(got, want) {
		t.Errorf("packages in another order give\n%s", got)
	}
	if diff := cmp.Diff(before, l.Packages); diff != "" {
		t.Errorf("the caller's packages were changed: %s", diff)
	}
}

func TestParseRefuses(t *testing.T) {
	good := string(marshal(t, sample()))
	for name, c := range map[string]struct{ text, want string }{
		"nothing":               {"", "reading the lock: unexpected end of JSON input"},
		"no JSON":               {"<html>", "reading the lock: invalid character '<'"},
		"cut":                   {good[:len(good)/2], "unexpected end of JSON input"},
		"more after it":         {good + "{}", "after top-level value"},
		"marks of a conflict":   {"<<<<<<< ours\n" + good, "invalid character '<'"},
		"unknown field":         {strings.Replace(good, `"architecture"`, `"arch"`, 1), `unknown field "arch"`},
		"unknown package field": {strings.Replace(good, `"size"`, `"bytes"`, 1), `unknown field "bytes"`},
		"another type":          {strings.Replace(good, `1500000`, `"1.5 MB"`, 1), "cannot unmarshal string"},
		"no version":            {"{}", "it has version 0, this program reads version 1"},
		"later version":         {`{"version": 2, "news": true}`, "it has version 2, this program reads version 1"},
	} {
		if _, err := Parse([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

func TestGroup(t *testing.T) {
	l := sample()
	for group, want := range map[string][]string{
		"image": {"bash_5.2.37-2_amd64", "libc6_2.41-12_amd64"}, "tools": {"bash_5.2.37-2_amd64"},
		"container-web": {"libc6_2.41-9_amd64"}, "container-": nil,
	} {
		var got []string
		for _, p := range l.Group(group) {
			got = append(got, p.ID())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", group, diff)
		}
	}
}
