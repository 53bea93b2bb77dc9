//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/sys/command"
)

const flatcarResetUsage = `Usage: flatcar-reset [FLAG...]

Makes the next boot delete everything from the root file system but what is to
be kept, and provision the machine again.

  -K, --keep-paths RE...      POSIX extended regular expressions of paths to keep
  -M, --keep-machine-id       keep /etc/machine-id
  -F, --ignition-file FILE    provision from this config
  -U, --ignition-url URL      provision from a config at this address
  -P, --preview-delete        only list what would be deleted
  -W, --preview-keep          only list what would be kept
  -B, --backup                copy the root file system to /flatcar-backup first
  -R, --restore-backup        copy it back, which the next boot sees
  -D, --delete-backup         delete that copy
  -S, --stop                  take a reset back that has not happened yet

The machine does not reboot by itself.
`

const (
	resetPath  = "/" + layout.ResetFile
	backupPath = "/flatcar-backup"
)

// resetOptions are the flags of flatcar-reset.
type resetOptions struct {
	keep                                      []string
	keepID                                    bool
	file, url                                 string
	previewDelete, previewKeep                bool
	backup, restoreBackup, deleteBackup, stop bool
}

func runFlatcarReset(ctx context.Context, args []string, out, errOut io.Writer) error {
	o, err := parseReset(args, errOut)
	if err != nil {
		return err
	}
	rule, err := layout.ParseKeepRule(o.rule())
	if err != nil {
		return err
	}
	switch {
	case o.stop:
		return resetFiles{"/"}.stop()
	case o.deleteBackup:
		return os.RemoveAll(backupPath)
	case o.restoreBackup:
		return copyRoot(ctx, backupPath, "/")
	case o.previewDelete, o.previewKeep:
		return preview(out, rule, o.previewKeep)
	}
	if o.backup {
		if err := copyRoot(ctx, "/", backupPath); err != nil {
			return err
		}
	}
	config, err := o.config()
	if err == nil {
		err = resetFiles{"/"}.stage(o.rule(), config)
	}
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "The next boot resets the machine. Reboot to go on, or take it back with flatcar-reset --stop.")
	return nil
}

// parseReset also takes the further words behind --keep-paths.
func parseReset(args []string, errOut io.Writer) (o resetOptions, err error) {
	f := flag.NewFlagSet("flatcar-reset", flag.ContinueOnError)
	f.SetOutput(errOut)
	f.Usage = func() { fmt.Fprint(errOut, flatcarResetUsage) }
	for name, p := range map[string]*bool{"M": &o.keepID, "keep-machine-id": &o.keepID, "P": &o.previewDelete, "preview-delete": &o.previewDelete,
		"W": &o.previewKeep, "preview-keep": &o.previewKeep, "B": &o.backup, "backup": &o.backup, "R": &o.restoreBackup, "restore-backup": &o.restoreBackup,
		"D": &o.deleteBackup, "delete-backup": &o.deleteBackup, "S": &o.stop, "stop": &o.stop} {
		f.BoolVar(p, name, false, "")
	}
	for name, p := range map[string]*string{"F": &o.file, "ignition-file": &o.file, "U": &o.url, "ignition-url": &o.url} {
		f.StringVar(p, name, "", "")
	}
	for _, name := range []string{"K", "keep-paths"} {
		f.Func(name, "", func(v string) error { o.keep = append(o.keep, v); return nil })
	}
	for len(args) > 0 {
		if err := f.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return o, err
			}
			return o, errUsage
		}
		if args = f.Args(); len(args) > 0 {
			if len(o.keep) == 0 {
				fmt.Fprint(errOut, flatcarResetUsage)
				return o, errUsage
			}
			o.keep, args = append(o.keep, args[0]), args[1:]
		}
	}
	if o.file != "" && o.url != "" {
		return o, errors.New("--ignition-file and --ignition-url exclude each other")
	}
	return o, nil
}

func (o resetOptions) rule() string {
	all := o.keep
	if o.keepID {
		all = append(all, "/etc/machine-id")
	}
	return strings.Join(all, "|")
}

// config is what is to be put on the OEM partition; nil leaves what is there.
func (o resetOptions) config() ([]byte, error) {
	switch {
	case o.file != "":
		return os.ReadFile(o.file)
	case o.url != "":
		return json.Marshal(map[string]any{"ignition": map[string]any{"version": "3.0.0", "config": map[string]any{"replace": map[string]string{"source": o.url}}}})
	}
	return nil, nil
}

// preview lists the files of the root file system that are kept or deleted.
func preview(out io.Writer, rule layout.KeepRule, kept bool) error {
	for _, top := range []string{"/", "/etc"} { // /etc is laid over with the shipped one
		if err := previewBelow(out, top, rule, kept); err != nil {
			return err
		}
	}
	return nil
}

func previewBelow(out io.Writer, top string, rule layout.KeepRule, kept bool) error {
	device := deviceNumber(top)
	return filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && deviceNumber(path) != device:
			return fs.SkipDir
		case d.IsDir(), path == resetPath, top == "/etc" && shippedEtc(path):
			return nil
		case rule.Keeps(path) == kept:
			_, err = fmt.Fprintln(out, path)
		}
		return err
	})
}

// shippedEtc says that a file of /etc comes with the image.
func shippedEtc(path string) bool {
	_, err := os.Lstat(filepath.Join(shippedRoot, path))
	return err == nil
}

func deviceNumber(path string) uint64 {
	info, err := os.Lstat(path)
	if err != nil {
		return 0
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0
	}
	return st.Dev
}

// copyRoot copies a root file system, without others and without the copy.
func copyRoot(ctx context.Context, from, to string) error {
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	device := deviceNumber(from)
	for _, e := range entries {
		path := filepath.Join(from, e.Name())
		if path == backupPath || path == resetPath || path != "/etc" && deviceNumber(path) != device {
			continue
		}
		if _, err := command.Exec(ctx, command.Cmd{Path: "cp", Args: []string{"--archive", "--one-file-system", "--reflink=auto", "--", path, to + "/"}}); err != nil {
			return fmt.Errorf("copying %s to %s: %w", path, to, err)
		}
	}
	return nil
}
