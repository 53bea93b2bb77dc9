package preview

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/provision"
)

// Resolve is a path of the machine with the links of its folders followed, as
// the machine follows them before its first step. What the image does not have
// is taken as it is written.
func (i *Image) Resolve(name string) string {
	name = path.Clean("/" + name)
	if i == nil || name == "/" {
		return name
	}
	done, rest := "/", strings.Split(path.Dir(name), "/")
	for links := 0; len(rest) > 0 && links < 16; {
		next := path.Join(done, rest[0])
		rest = rest[1:]
		target, ok := i.link(next)
		if !ok {
			done = next
			continue
		}
		if links++; path.IsAbs(target) {
			done = "/"
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return path.Join(done, path.Base(name))
}

// link is where a link of the image, or of the root beside it, leads.
func (i *Image) link(name string) (string, bool) {
	if slices.Contains(layout.UsrLinks, strings.TrimPrefix(name, "/")) {
		return "usr" + name, true
	}
	e, ok := i.Find(name)
	return e.Target, ok && e.Kind == Link
}

// made is a step that makes something at a path, unless it is there already.
type made struct {
	what, path string
	overwrite  bool
}

func makes(a provision.Action) (made, bool) {
	switch a := a.(type) {
	case *provision.MakeDirectory:
		return made{"directory", a.Path, a.Overwrite}, true
	case *provision.WriteFile:
		return made{"file", a.Path, a.Overwrite}, true
	case *provision.Link:
		return made{"link", a.Path, a.Overwrite}, true
	case *provision.HardLink:
		return made{"link", a.Path, a.Overwrite}, true
	}
	return made{}, false
}

// clashes are the steps that the machine will not take, because the image has
// something else at the path and nothing says to replace it, and paths that
// are one. The sentences are those of the boot.
func clashes(plan provision.Plan, image *Image) provision.Report {
	var out provision.Report
	seen := map[string]provision.Step{}
	for _, s := range plan.Steps {
		if mount, ok := s.Action.(*provision.MountFilesystem); ok {
			out = append(out, mountClash(s, mount.Path, image)...)
		}
		m, ok := makes(s.Action)
		if !ok {
			continue
		}
		object := m.what + " " + m.path
		resolved := image.Resolve(m.path)
		if other, twice := seen[resolved]; twice {
			out = append(out, failure(s.At, fmt.Sprintf("%s: through links it is the same path as %s (%s), %s",
				object, other.Action.Summary().Name, other.At, resolved), "keep one of the two"))
			continue
		}
		seen[resolved] = s
		if m.overwrite {
			continue
		}
		if image == nil {
			out = append(out, known(s, m)...)
			continue
		}
		if was, ok := image.Find(resolved); ok {
			out = append(out, inTheWay(s, object, was)...)
		}
	}
	return out
}

// mountClash is a mount point that the machine cannot make: below a link, or
// new in /usr.
func mountClash(s provision.Step, at string, image *Image) provision.Report {
	if image == nil {
		if strings.HasPrefix(at, "/usr/") {
			return provision.Report{trap(s.At, "file system "+at+": /usr is read-only, so the image must have this folder", "use /srv, /mnt or /var")}
		}
		return nil
	}
	for dir := at; dir != "/"; dir = path.Dir(dir) {
		e, ok := image.Find(dir)
		switch {
		case ok && e.Kind != Directory:
			return provision.Report{failure(s.At, fmt.Sprintf("file system %s: in the image %s is a %s, and a mount point must not be below one", at, dir, e.Kind), "use another folder")}
		case !ok && strings.HasPrefix(dir, "/usr/"):
			return provision.Report{failure(s.At, fmt.Sprintf("file system %s: /usr is read-only, and the image has no folder %s", at, dir), "use /srv, /mnt or /var")}
		}
	}
	return nil
}

const overwrite = "set overwrite: true to replace it, or use another path"

func failure(at provision.Position, message, remedy string) provision.Problem {
	return provision.Problem{Severity: provision.Error, Position: at, Message: message, Remedy: remedy}
}

// inTheWay compares what the image has with what a step makes.
func inTheWay(s provision.Step, object string, was Entry) provision.Report {
	fail := func(format string, args ...any) provision.Report {
		return provision.Report{failure(s.At, object+": "+fmt.Sprintf(format, args...), overwrite)}
	}
	switch a := s.Action.(type) {
	case *provision.MakeDirectory:
		if was.Kind == Directory {
			return nil
		}
	case *provision.Link:
		if was.Kind == Link && path.Clean(was.Target) == path.Clean(a.Target) {
			return nil
		}
		if was.Kind == Link {
			return fail("in the image there is a link to %s already", was.Target)
		}
	case *provision.WriteFile:
		if was.Kind != File {
			break
		}
		if a.Content == nil {
			return nil
		}
		switch want := digest(a.Content); {
		case want == "":
			return provision.Report{trap(s.At, object+": in the image there is a file already, and the boot stops if its contents are others", overwrite)}
		case !strings.EqualFold(want, was.SHA256):
			return fail("in the image there is a file with other contents already")
		}
		return nil
	}
	return fail("in the image there is a %s already", was.Kind)
}

// digest is the SHA-256 that a content will have, empty if nobody knows.
func digest(c *provision.Content) string {
	r, remote := c.Remote()
	if !remote {
		return c.SHA256()
	}
	sum, _ := strings.CutPrefix(r.Hash, "sha256-")
	if sum == r.Hash {
		return ""
	}
	return sum
}

// Files of every image, for when the image is not known.
var everywhere = map[string]Kind{
	"/etc/localtime": Link, "/etc/resolv.conf": Link, "/etc/motd": Link, "/etc/issue": Link, "/etc/os-release": Link,
	"/etc/hosts": File, "/etc/profile": File, "/etc/passwd": File, "/etc/group": File, "/etc/shadow": File,
	"/etc/nsswitch.conf": File, "/etc/flatcar/update.conf": File, "/etc/coreos/update.conf": File,
}

// known warns of what every image has at the path of a step.
func known(s provision.Step, m made) provision.Report {
	kind, ok := everywhere[path.Clean(m.path)]
	if w, file := s.Action.(*provision.WriteFile); !ok || file && w.Content == nil && kind == File {
		return nil
	}
	return provision.Report{trap(s.At, fmt.Sprintf("%s %s: images have a %s there, and the boot stops if it is not the same", m.what, m.path, kind), overwrite)}
}
