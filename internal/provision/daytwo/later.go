package daytwo

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path"

	"wellcar.dev/internal/provision"
)

// noteLeft records how the change left each path.
func (j *Journal) noteLeft(files provision.Files) error {
	for i, s := range j.Saved {
		n, err := s.look(files)
		if err != nil {
			return fmt.Errorf("looking at %s after its change: %w", s.Path, err)
		}
		j.Saved[i].Left = &n
	}
	return nil
}

// Later are the paths that changed after the change was made, so that Undo
// would destroy later work. What an Undo that was cut restored is none.
func Later(files provision.Files, j Journal) ([]string, error) {
	var out []string
	for _, s := range j.Saved {
		n, err := s.look(files)
		if err != nil {
			return nil, err
		}
		if n != s.Node && (s.Left == nil || n != *s.Left) {
			out = append(out, s.Path)
		}
	}
	return out, nil
}

// usedHomes are the homes that the change made and that are not as it made
// them, once it was confirmed.
func (j Journal) usedHomes(files provision.Files) (map[string]bool, error) {
	if j.Phase != Applied {
		return nil, nil
	}
	later, err := Later(files, j)
	used := map[string]bool{}
	for _, name := range later {
		used[name] = true
	}
	for _, s := range j.Saved {
		used[s.Path] = used[s.Path] && s.All
	}
	return used, err
}

// look is what there is at the path now.
func (s Saved) look(files provision.Files) (Node, error) {
	n, err := look(files, s.Path)
	if err == nil && s.All && n.Kind == Directory {
		n.Sum, err = below(files, s.Path)
	}
	return n, err
}

// below is a digest of all that is in a directory.
func below(files provision.Files, dir string) (string, error) {
	names, err := files.ReadDir(dir)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	for _, name := range names {
		n, err := look(files, path.Join(dir, name))
		if err == nil && n.Kind == Directory {
			n.Sum, err = below(files, path.Join(dir, name))
		}
		if err != nil {
			return "", err
		}
		if err := json.NewEncoder(h).Encode(struct {
			Name string
			Node Node
		}{name, n}); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
