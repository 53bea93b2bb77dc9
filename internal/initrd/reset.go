//go:build linux

package initrd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/sys/kmsg"
)

// resetRoot deletes from the root file system what a person asked for with
// flatcar-reset. It can be cut off and done again: the file that asks for it
// goes last.
func (b *boot) resetRoot() error {
	root := b.m.path(sysroot)
	asked := filepath.Join(root, layout.ResetFile)
	text, err := os.ReadFile(asked)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("resetting: %w", err)
	}
	rule, err := layout.ParseKeepRule(string(text))
	if err != nil {
		b.m.Log(kmsg.Error, "nothing is reset: %v", err)
		return os.Remove(asked)
	}
	kept, err := resetTree(root, "", rule)
	if err != nil {
		return fmt.Errorf("resetting: %w", err)
	}
	b.m.Log(kmsg.Info, "reset: %d entries of the root file system are kept", kept)
	return os.Remove(asked)
}

// resetTree deletes below a folder what the rule does not keep, and folders
// that become empty. It does not follow links or go into other file systems:
// nothing is mounted there yet.
func resetTree(root, dir string, rule layout.KeepRule) (kept int, err error) {
	entries, err := os.ReadDir(filepath.Join(root, dir))
	if err != nil {
		return 0, err
	}
	var errs []error
	for _, e := range entries {
		n, err := resetEntry(root, dir+"/"+e.Name(), e.IsDir(), rule)
		kept += n
		errs = append(errs, err)
	}
	return kept, errors.Join(errs...)
}

func resetEntry(root, path string, isDir bool, rule layout.KeepRule) (kept int, err error) {
	if path == "/"+layout.ResetFile || rule.Keeps(path) {
		return 1, nil
	}
	if isDir {
		if kept, err = resetTree(root, path, rule); err != nil || kept > 0 {
			return kept, err
		}
	}
	return 0, os.Remove(filepath.Join(root, path))
}
