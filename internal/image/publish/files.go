package publish

import (
	"encoding/hex"
	"fmt"
	"os"
	"sort"

	"wellcar.dev/internal/release"
)

// sum describes a file of the folder, which does not change any more. It is read
// once, however often it is asked for.
func (m *maker) sum(name string) (release.File, error) {
	if f, ok := m.sums[name]; ok {
		return f, nil
	}
	size, sum, err := sumFile(m.path(name))
	if err != nil {
		return release.File{}, err
	}
	if m.sums == nil {
		m.sums = map[string]release.File{}
	}
	m.sums[name] = release.File{Name: name, Size: size, SHA256: hex.EncodeToString(sum[:])}
	return m.sums[name], nil
}

// writeSum puts the digest of a file beside it.
func (m *maker) writeSum(name string) error {
	f, err := m.sum(name)
	if err != nil {
		return err
	}
	return os.WriteFile(m.path(name+".sha256"), fmt.Appendf(nil, "%s  %s\n", f.SHA256, name), 0o644)
}

// list describes the files of the folder but those left out, by name.
func (m *maker) list(leave map[string]bool) ([]release.File, error) {
	entries, err := os.ReadDir(m.tmp)
	if err != nil {
		return nil, err
	}
	var all []release.File
	for _, e := range entries {
		if leave[e.Name()] {
			continue
		}
		file, err := m.sum(e.Name())
		if err != nil {
			return nil, err
		}
		all = append(all, file)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Name < all[j].Name })
	return all, nil
}
