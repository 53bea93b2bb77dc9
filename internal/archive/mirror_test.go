package archive

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAddresses(t *testing.T) {
	official := Mirror{officialMain, officialSecurity}
	list := func(text string) []SourceFile { return []SourceFile{{"/etc/apt/sources.list", []byte(text)}} }
	stanza := func(text string) []SourceFile {
		return []SourceFile{{"/etc/apt/sources.list.d/debian.sources", []byte(text)}}
	}
	host := list("deb http://host.example/debian trixie main\ndeb http://host.example/debian-security trixie-security main\n")
	tests := map[string]struct {
		flag, env string
		sources   []SourceFile
		want      Mirror
	}{
		"nothing":               {"", "", nil, official},
		"flag":                  {"http://a.example/debian/", "http://b.example/debian", host, Mirror{"http://a.example/debian", "http://host.example/debian-security"}},
		"flag with both":        {"http://a.example/d, http://a.example/s/", "", host, Mirror{"http://a.example/d", "http://a.example/s"}},
		"flag, no host":         {"file:///srv/debian", "", nil, Mirror{"file:///srv/debian", officialSecurity}},
		"flag, security only":   {",http://a.example/s", "", nil, Mirror{officialMain, "http://a.example/s"}},
		"environment":           {"", "http://b.example/debian,http://b.example/sec", host, Mirror{"http://b.example/debian", "http://b.example/sec"}},
		"host":                  {"", "", host, Mirror{"http://host.example/debian", "http://host.example/debian-security"}},
		"host without security": {"", "", list("deb https://h.example/mirror/debian/ bookworm main\n"), Mirror{"https://h.example/mirror/debian", officialSecurity}},
		"options and comments": {"", "", list("# deb http://no.example/debian trixie main\n" +
			"deb\t[ arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg ]\thttp://h.example/debian trixie main contrib # ours\n"),
			Mirror{"http://h.example/debian", officialSecurity}},
		"sources of source code": {"", "", list("deb-src http://h.example/debian trixie main\n"), official},
		"other schemes":          {"", "", list("deb cdrom:[Debian]/ trixie main\ndeb mirror+file:/etc/apt/mirrors/debian trixie main\ndeb ftp://h.example/debian trixie main\n"), official},
		"other vendors": {"", "", list("deb https://v.example/linux/debian trixie stable\ndeb [signed-by=/etc/apt/keyrings/vendor.gpg] https://w.example/debian trixie main\n" +
			"deb http://u.example/ubuntu noble main\ndeb http://p.example/debian stable/\n"), official},
		"file": {"", "", list("deb file:///srv/mirror/debian trixie main\n"), Mirror{"file:///srv/mirror/debian", officialSecurity}},
		"deb822": {"", "", stanza("# a comment\nTypes: deb deb-src\nURIs: http://h.example/debian\nSuites: trixie trixie-updates\nComponents: main\n\n\n" +
			"Types: deb\nURIs: http://h.example/debian-security/\nSuites: trixie-security\nComponents: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.pgp"),
			Mirror{"http://h.example/debian", "http://h.example/debian-security"}},
		"deb822 off":        {"", "", stanza("Enabled: no\nTypes: deb\nURIs: http://h.example/debian\nSuites: trixie\nComponents: main\n"), official},
		"deb822 many lines": {"", "", stanza("types: deb\nuris:\n mirror+https://l.example/list\n http://h.example/debian\n http://i.example/debian\nSuites: trixie\nComponents:\n main\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abcd\n -----END PGP PUBLIC KEY BLOCK-----\n"), Mirror{"http://h.example/debian", officialSecurity}},
		"deb822 vendor key": {"", "", stanza("Types: deb\nURIs: http://h.example/debian\nSuites: trixie\nComponents: main\nSigned-By: /etc/apt/keyrings/vendor.asc\n"), official},
		"garbage":           {"", "", stanza("this is not a stanza\n"), official},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := Addresses(tt.flag, tt.env, tt.sources)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			if err := got.Check(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestMirrorCheck(t *testing.T) {
	for _, bad := range []string{"", "mirror.example/debian", "ftp://a.example/debian", "file://debian", "http:///debian", "http://%zz/debian"} {
		wantError(t, Mirror{Debian: bad, Security: officialSecurity}.Check(), "reading the address of the archive debian:")
	}
}

func TestReadSources(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"sources.list", "sources.list.d/b.sources", "sources.list.d/c.list", "sources.list.d/a.list.save"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, f := range readSources(dir) {
		got = append(got, string(f.Data))
	}
	if diff := cmp.Diff([]string{"sources.list", "sources.list.d/b.sources", "sources.list.d/c.list"}, got); diff != "" {
		t.Error(diff)
	}
}
