//go:build linux

package update

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// SettingsFiles are searched in order; the first that has a key decides.
var SettingsFiles = []string{"etc/flatcar/update.conf", "usr/share/flatcar/update.conf", "usr/share/flatcar/release"}

// Settings is what the files say, read anew for each check.
type Settings struct{ files []map[string]string }

// LoadSettings reads the files below a root. A file that is missing says
// nothing.
func LoadSettings(root string) (Settings, error) {
	var s Settings
	for _, name := range SettingsFiles {
		data, err := os.ReadFile(filepath.Join(root, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return s, fmt.Errorf("reading the update settings: %w", err)
		}
		s.files = append(s.files, ParseSettings(string(data)))
	}
	return s, nil
}

// ParseSettings reads KEY=VALUE lines as a shell would that knows nothing but
// quotes and comments. Of a key that is there twice the last counts.
func ParseSettings(text string) map[string]string {
	values := map[string]string{}
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimPrefix(strings.TrimSpace(line), "export ")
		key, value, ok := strings.Cut(line, "=")
		key = strings.TrimSpace(key)
		if !ok || key == "" || strings.HasPrefix(key, "#") || strings.ContainsAny(key, " \t") {
			continue
		}
		values[key] = unquote(strings.TrimSpace(value))
	}
	return values
}

// unquote takes quotes away; what follows them, or a comment after white
// space, is not part of the value.
func unquote(v string) string {
	if v == "" {
		return v
	}
	if q := v[0]; q == '"' || q == '\'' {
		if inner, _, ok := strings.Cut(v[1:], string(q)); ok {
			return inner
		}
		return v
	}
	if i := strings.Index(v, " #"); i >= 0 {
		v = v[:i]
	}
	return strings.TrimSpace(v)
}

// Get is the value of a key in the first file that has it.
func (s Settings) Get(key string) string {
	v, _ := s.Lookup(key)
	return v
}

// Lookup also says whether any file has the key.
func (s Settings) Lookup(key string) (string, bool) {
	for _, f := range s.files {
		if v, ok := f[key]; ok {
			return v, true
		}
	}
	return "", false
}

// Group is the channel or group that the machine follows.
func (s Settings) Group() string { return s.or("GROUP", "stable") }

// Server is the address to ask; ok is false for "disabled" and anything else
// that is no address.
func (s Settings) Server() (url string, ok bool) {
	url = s.Get("SERVER")
	return url, strings.HasPrefix(url, "http://") || strings.HasPrefix(url, "https://")
}

// Mirrors are addresses that are asked for files before the server's own.
func (s Settings) Mirrors() (bases []string) {
	for m := range strings.SplitSeq(s.Get("DOWNLOAD_MIRROR"), ",") {
		if m = strings.TrimSpace(m); m != "" {
			bases = append(bases, m)
		}
	}
	return bases
}

// Rate is how many bytes a second a download may take; 0 is any, and so is
// what cannot be read.
func (s Settings) Rate() (int64, error) {
	text := s.Get("DOWNLOAD_RATE")
	if text == "" {
		return 0, nil
	}
	digits := strings.TrimRight(text, "KMGkmg")
	shift, ok := map[string]int{"": 0, "K": 10, "M": 20, "G": 30}[strings.ToUpper(text[len(digits):])]
	n, err := strconv.ParseUint(digits, 10, 31)
	if err != nil || !ok {
		return 0, fmt.Errorf("no limit for downloads: DOWNLOAD_RATE=%s is no number of bytes a second, such as 500K or 2M", text)
	}
	return int64(n) << shift, nil
}

func (s Settings) or(key, otherwise string) string {
	if v := s.Get(key); v != "" {
		return v
	}
	return otherwise
}
