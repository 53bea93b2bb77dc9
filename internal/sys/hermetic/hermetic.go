// Package hermetic runs programs from a folder of unpacked Debian packages,
// with nothing from the host but the kernel: no installation, no root, no
// container. An ELF program is started through the folder's own dynamic loader
// with the folder's libraries, a script through the folder's interpreter, and
// the variables that point programs at their data are set.
//
// Limits: what such a program itself starts by name comes from the host's
// $PATH; [Set.Argv] gives a command line to hand to programs that take one.
// Programs that find their data only by a path compiled in do not see the
// folder's copy. Where the folder has no loader, which is so on a Mac, the
// host's program of the same name is run.
//
//	s := hermetic.Set{Dir: "/home/me/.cache/wellcar/tools/1f2e"}
//	cmd, err := s.Command(ctx, "mkfs.erofs", "--version")
package hermetic

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
)

// Set is a folder of unpacked packages; the zero value is no folder, and
// programs come from the host. A set may be used concurrently.
type Set struct {
	Dir string // absolute; holds usr/bin, usr/lib and so on
}

// The loaders of the platforms that a set can be for, below Dir.
var loaders = []string{"usr/lib64/ld-linux-x86-64.so.2", "usr/lib/ld-linux-aarch64.so.1"}

// Where programs are searched, below Dir.
var programDirs = []string{"usr/bin", "usr/sbin", "bin", "sbin", "usr/lib/systemd", "usr/libexec", "usr/lib"}

// Path is the path of a file of the set, given relative to it.
func (s Set) Path(rel string) string { return filepath.Join(s.Dir, filepath.FromSlash(rel)) }

// Has reports whether a program can be run from the set itself.
func (s Set) Has(name string) bool {
	if s.loader() == "" {
		return false
	}
	_, _, err := s.find(name)
	return err == nil
}

// Command prepares a program of the set. name is a bare name, or a path
// relative to Dir. The program is killed when the context ends.
func (s Set) Command(ctx context.Context, name string, args ...string) (*exec.Cmd, error) {
	argv, err := s.Argv(name, args...)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	if s.loader() != "" {
		cmd.Env = s.Environ(os.Environ())
	}
	return cmd, nil
}

// Argv is the command line that starts a program of the set. It needs the
// variables that Environ sets.
func (s Set) Argv(name string, args ...string) ([]string, error) {
	argv, err := s.argv(name, args, 0)
	if err != nil {
		return nil, fmt.Errorf("preparing to run %s: %w", name, err)
	}
	return argv, nil
}

// maxScripts is how deep an interpreter may itself be a script.
const maxScripts = 4

func (s Set) argv(name string, args []string, depth int) ([]string, error) {
	loader := s.loader()
	if loader == "" {
		host, err := exec.LookPath(path.Base(name))
		if err != nil {
			return nil, err
		}
		return append([]string{host}, args...), nil
	}
	named, file, err := s.find(name)
	if err != nil {
		return nil, err
	}
	kind, err := inspect(file)
	if err != nil {
		return nil, err
	}
	args = append(s.extraArgs(path.Base(name)), args...)
	switch {
	case len(kind.script) > 0 && depth == maxScripts:
		return nil, fmt.Errorf("its interpreter is a script of a script")
	case len(kind.script) > 0:
		start := interpreter(kind.script)
		return s.argv(start[0], append(append(start[1:], file), args...), depth+1)
	case kind.dynamic:
		dirs, err := s.libraryDirs()
		if err != nil {
			return nil, err
		}
		start := []string{loader, "--inhibit-cache", "--library-path", strings.Join(dirs, ":"), "--argv0", named, file}
		return append(start, args...), nil
	default:
		return append([]string{file}, args...), nil
	}
}

func (s Set) loader() string {
	if s.Dir == "" {
		return ""
	}
	for _, rel := range loaders {
		if file, err := s.resolve(rel); err == nil {
			return file
		}
	}
	return ""
}

// find returns a program by the name it was asked for and as the file that
// the name leads to. Some programs behave by their name.
func (s Set) find(name string) (named, file string, err error) {
	candidates := []string{name}
	if !strings.Contains(name, "/") {
		candidates = nil
		for _, dir := range programDirs {
			candidates = append(candidates, path.Join(dir, name))
		}
	}
	for _, rel := range candidates {
		file, err := s.resolve(rel)
		if err != nil {
			continue
		}
		if fi, err := os.Stat(file); err == nil && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0 {
			return s.Path(rel), file, nil
		}
	}
	if name == "sh" { // a link that a maintainer script makes
		return s.find("bash")
	}
	return "", "", &fs.PathError{Op: "searching the program in", Path: s.Dir, Err: fs.ErrNotExist}
}

// maxLinks is how many symlinks one path may lead through.
const maxLinks = 40

// resolve follows symlinks as if Dir were the root: an absolute target counts
// from Dir, and no target leads out of it.
func (s Set) resolve(rel string) (string, error) {
	left := strings.Split(strings.TrimPrefix(path.Clean("/"+filepath.ToSlash(rel)), "/"), "/")
	at := "/"
	for links := 0; len(left) > 0; {
		next := path.Join(at, left[0])
		left = left[1:]
		fi, err := os.Lstat(s.Path(next))
		if err != nil {
			return "", err
		}
		if fi.Mode()&fs.ModeSymlink == 0 {
			at = next
			continue
		}
		if links++; links > maxLinks {
			return "", fmt.Errorf("%s leads through more than %d symlinks", rel, maxLinks)
		}
		target, err := os.Readlink(s.Path(next))
		if err != nil {
			return "", err
		}
		if path.IsAbs(target) {
			at = "/"
		}
		left = append(strings.Split(strings.Trim(path.Clean(target), "/"), "/"), left...)
	}
	return s.Path(at), nil
}

// interpreter turns the words of a "#!" line into a program of the set and
// its arguments. "env x" is x.
func interpreter(words []string) []string {
	if path.Base(words[0]) == "env" && len(words) > 1 {
		words = words[1:]
	}
	return append([]string{path.Base(words[0])}, words[1:]...)
}
