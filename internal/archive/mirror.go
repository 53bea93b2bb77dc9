package archive

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// The official aliases of the archive, used when nothing else is known.
const (
	officialMain     = "http://ftp.debian.org/debian"
	officialSecurity = "http://security.debian.org/debian-security"
)

// Mirror holds the root address of each archive: http, https or file, without
// a slash at the end.
type Mirror struct {
	Debian   string // holds dists/trixie and dists/trixie-updates
	Security string // holds dists/trixie-security
}

// SourceFile is one file of apt's source list.
type SourceFile struct {
	Name string // the suffix tells the format: .list or .sources
	Data []byte
}

// Addresses chooses the mirror: the flag ("URL" or "URL,SECURITY_URL"), else
// the environment's value in the same form, else the host's apt sources, else
// the official aliases. A security address that is not given is the one of
// the host's sources, else the official alias.
func Addresses(flag, env string, aptSources []SourceFile) Mirror {
	host := fromSources(aptSources)
	m := Mirror{Debian: officialMain, Security: officialSecurity}
	if host.Debian != "" {
		m.Debian = host.Debian
	}
	if host.Security != "" {
		m.Security = host.Security
	}
	given := flag
	if given == "" {
		given = env
	}
	main, security, _ := strings.Cut(given, ",")
	if main = trimAddress(main); main != "" {
		m.Debian = main
	}
	if security = trimAddress(security); security != "" {
		m.Security = security
	}
	return m
}

func trimAddress(s string) string { return strings.TrimRight(strings.TrimSpace(s), "/") }

// Check tells what is wrong with the addresses, if anything.
func (m Mirror) Check() error {
	for _, a := range []struct{ name, address string }{{Main, m.Debian}, {Security, m.Security}} {
		u, err := url.Parse(a.address)
		if err != nil {
			return fmt.Errorf("reading the address of the archive %s: %w", a.name, err)
		}
		if !fetchable(u) {
			return fmt.Errorf("reading the address of the archive %s: %q is not an http, https or file address", a.name, u.Redacted())
		}
	}
	return nil
}

func fetchable(u *url.URL) bool {
	switch u.Scheme {
	case "http", "https":
		return u.Host != ""
	case "file":
		return strings.HasPrefix(u.Path, "/")
	}
	return false
}

// address joins the root of an archive and a path below it.
func (m Mirror) address(archive, path string) (string, error) {
	root := ""
	switch archive {
	case Main:
		root = m.Debian
	case Security:
		root = m.Security
	}
	if root == "" {
		return "", fmt.Errorf("finding %s: the mirror has no archive named %q", path, archive)
	}
	return url.JoinPath(root, strings.Split(path, "/")...)
}

// HostSources reads the source list of the host's apt: /etc/apt/sources.list,
// then the files of /etc/apt/sources.list.d by name. Files that cannot be
// read are left out.
func HostSources() []SourceFile { return readSources("/etc/apt") }

func readSources(dir string) []SourceFile {
	names := []string{filepath.Join(dir, "sources.list")}
	for _, pattern := range []string{"*.list", "*.sources"} {
		found, err := filepath.Glob(filepath.Join(dir, "sources.list.d", pattern))
		if err == nil {
			names = append(names, found...)
		}
	}
	sort.Strings(names[1:])
	var files []SourceFile
	for _, name := range names {
		if data, err := os.ReadFile(name); err == nil {
			files = append(files, SourceFile{Name: name, Data: data})
		}
	}
	return files
}
