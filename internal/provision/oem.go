package provision

import (
	"bytes"
	"encoding/json"
	"strings"

	ierrors "github.com/coreos/ignition/v2/config/shared/errors"
	types "github.com/coreos/ignition/v2/config/v3_7_experimental/types"
)

// The scheme of sources on the OEM partition, which the upstream packages
// refuse, and one that they take in its place. It allows no HTTP headers
// either.
const (
	oemScheme = "oem://"
	oemAsTFTP = "tftp://oem.invalid"
)

// revealOEM undoes that in a config that was read.
func revealOEM(cfg types.Config) types.Config {
	data, err := json.Marshal(cfg)
	if err != nil || !bytes.Contains(data, []byte(oemAsTFTP)) {
		return cfg
	}
	var root any
	var out types.Config
	if json.Unmarshal(data, &root) != nil || !rewriteSources(root, oemAsTFTP, oemScheme) {
		return cfg
	}
	if data, err = json.Marshal(root); err != nil || json.Unmarshal(data, &out) != nil {
		return cfg
	}
	return out
}

// rewriteSources replaces the beginning of all sources that have it, and
// tells whether there were any.
func rewriteSources(node any, from, to string) bool {
	found := false
	switch node := node.(type) {
	case map[string]any:
		for name, child := range node {
			if s, ok := child.(string); ok && name == "source" {
				if rest, ok := strings.CutPrefix(s, from); ok {
					node[name], found = to+rest, true
				}
				continue
			}
			found = rewriteSources(child, from, to) || found
		}
	case []any:
		for _, child := range node {
			found = rewriteSources(child, from, to) || found
		}
	}
	return found
}

// isOEMSource tells whether a finding is only that upstream does not know
// the scheme of the OEM partition.
func isOEMSource(root any, p Path, message string) bool {
	s, ok := p.get(root).(string)
	return ok && message == ierrors.ErrInvalidScheme.Error() && strings.HasPrefix(s, oemScheme)
}

// Where the OEM partition is mounted, and where it was on older systems.
const (
	oemDir    = "/oem"
	oldOEMDir = "/usr/share/oem"
)

// moveOEM leads paths of the older place of the OEM partition to the new one.
func moveOEM(cfg types.Config) types.Config {
	for i := range cfg.Storage.Files {
		movePath(&cfg.Storage.Files[i].Path)
	}
	for i := range cfg.Storage.Directories {
		movePath(&cfg.Storage.Directories[i].Path)
	}
	for i := range cfg.Storage.Links {
		movePath(&cfg.Storage.Links[i].Path)
	}
	for i := range cfg.Storage.Filesystems {
		if p := cfg.Storage.Filesystems[i].Path; p != nil {
			moved := *p
			movePath(&moved)
			cfg.Storage.Filesystems[i].Path = &moved
		}
	}
	return cfg
}

func movePath(p *string) {
	if rest, ok := strings.CutPrefix(*p, oldOEMDir); ok && (rest == "" || rest[0] == '/') {
		*p = oemDir + rest
	}
}
