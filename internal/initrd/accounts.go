//go:build linux

package initrd

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"wellcar.dev/internal/sys/durable"
)

// accountFiles have a line per account, whose name ends at the first colon.
var accountFiles = []string{"passwd", "group", "shadow", "gshadow"}

// FollowAccounts gives the machine's own account files in upper the accounts
// that the release's files in lower have gained since the last boot. Without
// it they would hide them: an account that somebody added made the file the
// machine's own. Base remembers the names that the last release had, so that
// an account deleted by hand stays deleted. It must run before /etc is
// mounted, and returns what it added, as "passwd: etcd".
func FollowAccounts(upper, lower, base string) (added []string, err error) {
	if err := os.MkdirAll(base, 0o755); err != nil {
		return nil, fmt.Errorf("following the release's accounts: %w", err)
	}
	var errs []error
	for _, name := range accountFiles {
		names, err := followAccountFile(filepath.Join(upper, name), filepath.Join(lower, name), filepath.Join(base, name))
		for _, n := range names {
			added = append(added, name+": "+n)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("following the release's accounts in /etc/%s: %w", name, err))
		}
	}
	return added, errors.Join(errs...)
}

func followAccountFile(upper, lower, base string) ([]string, error) {
	shipped, err := os.ReadFile(lower)
	if err != nil {
		return nil, ignoreMissing(err)
	}
	names := accountNames(shipped)
	was, err := os.ReadFile(base)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err == nil && string(was) == names {
		return nil, nil
	}
	added, err := addAccounts(upper, shipped, was)
	if err != nil {
		return nil, err
	}
	return added, durable.WriteFile(base, []byte(names), 0o644)
}

// addAccounts adds lines to the machine's own file, if it has one.
func addAccounts(upper string, shipped, was []byte) ([]string, error) {
	info, err := os.Lstat(upper)
	if err != nil || !info.Mode().IsRegular() {
		return nil, ignoreMissing(err)
	}
	own, err := os.ReadFile(upper)
	if err != nil {
		return nil, err
	}
	merged, added := mergeAccounts(own, shipped, was)
	if len(added) == 0 {
		return nil, nil
	}
	return added, replaceFile(upper, merged, info)
}

// mergeAccounts appends the shipped lines whose names neither the machine's
// own file nor the last release had.
func mergeAccounts(own, shipped, was []byte) (merged []byte, added []string) {
	known := map[string]bool{}
	for _, text := range [][]byte{own, was} {
		for line := range strings.Lines(string(text)) {
			known[accountName(line)] = true
		}
	}
	merged = bytes.Clone(own)
	if len(merged) > 0 && !bytes.HasSuffix(merged, []byte("\n")) {
		merged = append(merged, '\n')
	}
	for line := range strings.Lines(string(shipped)) {
		if name := accountName(line); name != "" && !known[name] {
			merged = append(merged, strings.TrimSuffix(line, "\n")+"\n"...)
			added = append(added, name)
		}
	}
	return merged, added
}

func accountName(line string) string {
	name, _, _ := strings.Cut(strings.TrimSpace(line), ":")
	return name
}

// accountNames is a line with the name of each account.
func accountNames(text []byte) string {
	var b strings.Builder
	for line := range strings.Lines(string(text)) {
		if name := accountName(line); name != "" {
			b.WriteString(name + "\n")
		}
	}
	return b.String()
}

// replaceFile gives a file another content, with mode and owner as they were.
func replaceFile(name string, data []byte, was fs.FileInfo) error {
	f, err := durable.Create(name, was.Mode().Perm())
	if err != nil {
		return err
	}
	defer f.Abort()
	id := owner(was)
	if err := f.Chown(int(id[0]), int(id[1])); err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return f.Commit()
}
