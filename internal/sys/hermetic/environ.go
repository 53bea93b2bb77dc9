package hermetic

import (
	"bufio"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// multiarch is the folder of libraries of the set's platform: x86_64-linux-gnu.
func (s Set) multiarch() string {
	if strings.Contains(s.loader(), "aarch64") {
		return "usr/lib/aarch64-linux-gnu"
	}
	return "usr/lib/x86_64-linux-gnu"
}

// libraryDirs lists where the set keeps libraries: the platform's folder, the
// folders below it that hold some (programs name them by absolute RUNPATHs,
// which would be the host's), and those that the set's ld.so.conf.d adds.
func (s Set) libraryDirs() ([]string, error) {
	base := s.multiarch()
	dirs := []string{s.Path(base), s.Path("usr/lib"), s.Path(path.Dir(loaders[0]))}
	below, err := os.ReadDir(s.Path(base))
	if err != nil {
		return nil, err
	}
	for _, d := range below {
		dir := filepath.Join(s.Path(base), d.Name())
		if d.IsDir() && d.Name() != "glibc-hwcaps" && holdsLibraries(dir) {
			dirs = append(dirs, dir)
		}
	}
	confs, err := filepath.Glob(s.Path("etc/ld.so.conf.d/*.conf"))
	if err != nil {
		return nil, err
	}
	for _, conf := range confs {
		dirs = append(dirs, s.configured(conf)...)
	}
	var there []string
	for _, dir := range dirs {
		if fi, err := os.Stat(dir); err == nil && fi.IsDir() && !slices.Contains(there, dir) {
			there = append(there, dir)
		}
	}
	return there, nil
}

func holdsLibraries(dir string) bool {
	found, err := filepath.Glob(filepath.Join(dir, "lib*.so*"))
	return err == nil && len(found) > 0
}

// configured reads the directories of one file of ld.so.conf.d. A file that
// cannot be read adds none.
func (s Set) configured(conf string) []string {
	f, err := os.Open(conf)
	if err != nil {
		return nil
	}
	defer f.Close()
	var dirs []string
	for sc := bufio.NewScanner(f); sc.Scan(); {
		line, _, _ := strings.Cut(sc.Text(), "#")
		if line = strings.TrimSpace(line); path.IsAbs(line) {
			dirs = append(dirs, s.Path(line))
		}
	}
	return dirs
}

// foreign are the variables, or the starts of some, that would bring the
// host's files or habits into a program.
var foreign = []string{"LD_", "LC_", "LANG=", "LANGUAGE=", "TZ=", "BASH_ENV=", "ENV=", "PYTHON", "PERL5", "GCONV_PATH=",
	"LOCPATH=", "OPENSSL_", "QEMU_", "MKE2FS_", "E2FSPROGS_", "GIO_", "GTK_", "SDL_", "MALLOC_", "GLIBC_TUNABLES="}

// Environ is a host's environment changed for programs of the set: a fixed
// locale and time zone, and the places of the set's data. PATH stays.
func (s Set) Environ(host []string) []string {
	var env []string
	for _, v := range host {
		if !slices.ContainsFunc(foreign, func(f string) bool { return strings.HasPrefix(v, f) }) {
			env = append(env, v)
		}
	}
	env = append(env, "LC_ALL=C.UTF-8", "TZ=UTC")
	lib := s.multiarch()
	for _, v := range []struct{ name, rel string }{
		{"GCONV_PATH", lib + "/gconv"},
		{"MKE2FS_CONFIG", "etc/mke2fs.conf"},
		{"OPENSSL_CONF", "etc/ssl/openssl.cnf"},
		{"OPENSSL_MODULES", lib + "/ossl-modules"},
		{"QEMU_MODULE_DIR", lib + "/qemu"},
	} {
		if _, err := os.Stat(s.Path(v.rel)); err == nil {
			env = append(env, v.name+"="+s.Path(v.rel))
		}
	}
	if _, err := os.Stat(s.Path("usr/bin/python3")); err == nil {
		env = append(env, "PYTHONHOME="+s.Path("usr"))
	}
	return env
}

// extraArgs are arguments that a program needs to find its data, or the
// programs that it starts, in the set. They come before the caller's.
func (s Set) extraArgs(name string) []string {
	switch {
	case strings.HasPrefix(name, "qemu-system-"):
		var args []string
		for _, rel := range []string{"usr/share/qemu", "usr/share/seabios", "usr/lib/ipxe/qemu"} {
			if fi, err := os.Stat(s.Path(rel)); err == nil && fi.IsDir() {
				args = append(args, "-L", s.Path(rel))
			}
		}
		return args
	case name == "swtpm_setup":
		// It takes the emulator as a line that it splits at blanks.
		emulator, err := s.argv("swtpm", []string{"socket"}, 0)
		if err != nil || strings.Contains(s.Dir, " ") {
			return nil
		}
		return []string{"--tpm", strings.Join(emulator, " "), "--config", s.Path("etc/swtpm_setup.conf")}
	}
	return nil
}
