package unpacked

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// outdatedAfter is how long no build must have asked for an entry of other
// code before it is removed.
const outdatedAfter = time.Hour

// touch notes that the entries of the jobs are asked for. Those that are not
// there, or that another user owns, stay as they are.
func (c Cache) touch(jobs []Job) {
	now := time.Now()
	for _, j := range jobs {
		_ = os.Chtimes(c.entry(j), time.Time{}, now)
	}
}

// removeOutdated removes what other code made of jobs that have been unpacked
// anew.
func (c Cache) removeOutdated(jobs []Job) error {
	if len(jobs) == 0 {
		return nil
	}
	current := map[string]string{} // name of the entry by key
	for _, j := range jobs {
		current[j.Key] = filepath.Base(c.entry(j))
	}
	entries, err := os.ReadDir(c.Dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		ours, ok := current[name[:max(0, strings.LastIndexByte(name, '-'))]]
		if !ok || name == ours || len(name) != len(ours) {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) || err == nil && time.Since(info.ModTime()) < outdatedAfter {
			continue
		}
		if err == nil {
			err = os.RemoveAll(filepath.Join(c.Dir, name))
		}
		if err != nil {
			return fmt.Errorf("removing an outdated unpacked package: %w", err)
		}
	}
	return nil
}
