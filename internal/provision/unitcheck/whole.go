package unitcheck

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"wellcar.dev/internal/format/unitfile"
)

// whole is a unit with its drop-ins as one.
type whole struct {
	name   string
	values map[string][]unitfile.Assignment // by Section.Name, after resets
}

func join(name string, texts []string) whole {
	w := whole{name, map[string][]unitfile.Assignment{}}
	for i, text := range texts {
		for _, a := range unitfile.Parse(text).Assignments {
			if i > 0 {
				a.Line = 0 // lines are those of the unit itself
			}
			key := a.Section + "." + a.Name
			if a.Value == "" {
				w.values[key] = nil
				continue
			}
			w.values[key] = append(w.values[key], a)
		}
	}
	return w
}

func (w whole) has(keys ...string) bool {
	return slices.ContainsFunc(keys, func(k string) bool { return len(w.values[k]) > 0 })
}

func (w whole) last(key string) (value string, line int) {
	list := w.values[key]
	if len(list) == 0 {
		return "", 0
	}
	return list[len(list)-1].Value, list[len(list)-1].Line
}

// yes tells whether the last value of a name means yes, or may do so.
func (w whole) yes(key string) bool {
	value, _ := w.last(key)
	return strings.Contains(value, "%") || slices.Contains([]string{"1", "yes", "y", "true", "t", "on"}, strings.ToLower(value))
}

// Unit checks what only the whole unit shows: texts are its own and those of
// its drop-ins. A finding means that systemd refuses to start the unit.
func Unit(name string, texts ...string) []Finding {
	w := join(name, texts)
	switch path.Ext(name) {
	case ".service":
		return w.service()
	case ".timer":
		return w.needs("the timer has no time", "give OnCalendar= or OnBootSec=", "Timer.OnCalendar", "Timer.OnActiveSec", "Timer.OnBootSec", "Timer.OnStartupSec",
			"Timer.OnUnitActiveSec", "Timer.OnUnitInactiveSec", "Timer.OnClockChange", "Timer.OnTimezoneChange")
	case ".socket":
		return w.needs("the socket listens nowhere", "give ListenStream= or another Listen...=", "Socket.ListenStream", "Socket.ListenDatagram", "Socket.ListenSequentialPacket",
			"Socket.ListenFIFO", "Socket.ListenSpecial", "Socket.ListenNetlink", "Socket.ListenMessageQueue", "Socket.ListenUSBFunction")
	case ".path":
		return w.needs("the path unit watches nothing", "give PathExists= or PathChanged=", "Path.PathExists", "Path.PathExistsGlob", "Path.PathChanged", "Path.PathModified", "Path.DirectoryNotEmpty")
	case ".mount":
		return append(w.needs("the mount has no What", "give What=", "Mount.What"), w.where("Mount.Where")...)
	case ".automount":
		return w.where("Automount.Where")
	case ".swap":
		return w.needs("the swap unit has no What", "give What=", "Swap.What")
	}
	return nil
}

func (w whole) needs(message, remedy string, keys ...string) []Finding {
	if w.has(keys...) {
		return nil
	}
	return []Finding{{0, message + ", so systemd refuses it", remedy}}
}

func (w whole) service() []Finding {
	var out []Finding
	kind, at := w.last("Service.Type")
	starts := w.values["Service.ExecStart"]
	switch {
	case len(starts) == 0 && !w.has("Service.ExecStop", "Unit.SuccessAction"):
		out = append(out, Finding{0, "the service has no ExecStart, so systemd refuses it", "give ExecStart="})
	case len(starts) == 0 && !w.has("Unit.SuccessAction") && !w.yes("Service.RemainAfterExit"):
		out = append(out, Finding{0, "the service has no ExecStart, which only those of RemainAfterExit=yes may do without, so systemd refuses it", "give ExecStart=, or RemainAfterExit=yes"})
	case len(starts) == 0 && kind != "" && kind != "oneshot":
		out = append(out, Finding{at, "only a service of Type=oneshot may have no ExecStart, so systemd refuses it", "give ExecStart=, or Type=oneshot"})
	case len(starts) > 1 && kind != "oneshot":
		out = append(out, Finding{starts[1].Line, "the service has more than one ExecStart, so systemd refuses it", "write Type=oneshot, or empty the list first: ExecStart="})
	}
	if restart, line := w.last("Service.Restart"); kind == "oneshot" && (restart == "always" || restart == "on-success") {
		out = append(out, Finding{line, fmt.Sprintf("Restart=%s does not go with Type=oneshot, so systemd refuses the service", restart), "write Restart=on-failure"})
	}
	if kind == "dbus" && !w.has("Service.BusName") {
		out = append(out, Finding{at, "a service of Type=dbus needs a BusName, so systemd refuses it", "give BusName="})
	}
	return out
}

// where compares the mount point with the name of the unit.
func (w whole) where(key string) []Finding {
	where, line := w.last(key)
	want := strings.TrimSuffix(w.name, path.Ext(w.name))
	switch {
	case where == "":
		return []Finding{{0, "the mount point is missing, so systemd refuses the unit", "give Where="}}
	case strings.Contains(where, "%"):
		return nil
	case EscapePath(where) != want:
		return []Finding{{line, fmt.Sprintf("Where=%s does not go with the name of the unit, so systemd refuses it", where),
			"name the unit " + EscapePath(where) + path.Ext(w.name)}}
	}
	return nil
}

// EscapePath writes a path as the name of a mount unit, as
// systemd-escape --path does.
func EscapePath(name string) string {
	name = strings.Trim(path.Clean(name), "/")
	if name == "" {
		return "-"
	}
	var b strings.Builder
	for i := range len(name) {
		c := name[i]
		switch {
		case c == '/':
			b.WriteByte('-')
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == ':', c == '_', c == '.' && i > 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, `\x%02x`, c)
		}
	}
	return b.String()
}
