package provision

import (
	"fmt"
	"path"
	"strings"

	"github.com/coreos/ignition/v2/config/util"

	"wellcar.dev/internal/layout"
)

// What is at the top of every root besides the links into /usr: folders that
// the system mounts over. /var/run and /var/lock become links into /run.
var (
	mountedOver = []string{"/tmp", "/run", "/proc", "/sys", "/dev"}
	runLinks    = map[string]string{"/var/run": "/run", "/var/lock": "/run/lock"}
)

// onMachine is a path with the links of the top of the root followed.
func onMachine(name string) string {
	name = path.Clean("/" + name)
	for _, dir := range layout.UsrLinks {
		if within(name, "/"+dir) {
			return "/usr" + name
		}
	}
	for from, to := range runLinks {
		if within(name, from) {
			return to + strings.TrimPrefix(name, from)
		}
	}
	return name
}

// within tells whether a path is a folder or in it.
func within(name, dir string) bool { return name == dir || strings.HasPrefix(name, dir+"/") }

// below tells whether a path is in a folder.
func below(name, dir string) bool { return name != dir && within(name, dir) }

// readOnly tells whether nothing can be written at a path.
func (b *builder) readOnly(name string) bool {
	name = onMachine(name)
	return b.facts.UsrReadOnly && below(name, "/usr") && !below(name, oemPath) && !b.onFilesystem(name)
}

const readOnlyRemedy = "use /etc, /opt or /var"

// checkPlace refuses paths at which nothing can be written, and warns of
// those that cannot keep it.
func (b *builder) checkPlace(e entry) {
	name, p := e.main.node().Path, e.at.with("path")
	_, isDir := e.main.(*MakeDirectory)
	if l, ok := e.main.(*Link); ok && strings.ContainsRune(l.Target, 0) {
		b.fail(e.at.with("target"), "the target has a NUL character, which no path can have", "leave it out")
	}
	switch {
	case strings.ContainsRune(name, 0):
		b.fail(p, "the path has a NUL character, which no path can have", "leave it out")
	case path.Clean(name) == "/" && !isDir:
		b.fail(p, "this is the root directory", "write the name of a file in it")
	case b.readOnly(name):
		b.fail(p, "/usr is read-only on the machine", readOnlyRemedy)
	case !b.onFilesystem(name):
		b.warnMountedOver(p, name)
	}
	b.checkOwner(e)
}

func (b *builder) warnMountedOver(p Path, name string) {
	name = onMachine(name)
	for _, dir := range mountedOver {
		if below(name, dir) {
			b.warn(p, dir+" is mounted over when the system starts, so this is not seen", "use another folder, or a tmpfiles.d entry")
		}
	}
}

// checkMountPoint refuses mount points that the machine could not make.
func (b *builder) checkMountPoint(p Path, name string) {
	top := "/" + strings.SplitN(strings.TrimPrefix(name, "/"), "/", 2)[0]
	switch {
	case strings.ContainsRune(name, 0):
		b.fail(p, "the path has a NUL character, which no path can have", "leave it out")
	case onMachine(top) != top:
		b.fail(p, fmt.Sprintf("%s is a link, and a mount point must not be below one", top), readOnlyRemedy)
	}
}

// onFilesystem tells whether a path lies on a file system that the config
// mounts for the time of provisioning.
func (b *builder) onFilesystem(name string) bool {
	for _, fs := range b.Ignition.Storage.Filesystems {
		if util.NotEmpty(fs.Path) && below(name, *fs.Path) {
			return true
		}
	}
	return false
}
