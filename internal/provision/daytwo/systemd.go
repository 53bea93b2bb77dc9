package daytwo

import (
	"context"
	"strings"

	"wellcar.dev/internal/provision"
)

// systemd runs systemctl. A unit that does not start is the unit's matter,
// and told in its log: it does not make a change fail.
type systemd struct {
	ctx  context.Context
	t    provision.Target
	wait bool
}

func (s systemd) try(verb string, units ...string) {
	_ = s.run(verb, units...)
}

func (s systemd) run(verb string, units ...string) error {
	if s.t.Run == nil {
		return nil
	}
	args := []string{verb}
	switch verb {
	case "start", "stop", "restart", "try-restart":
		if !s.wait {
			args = append(args, "--no-block")
		}
	}
	_, err := s.t.Run(s.ctx, systemctl, append(args, units...)...)
	return err
}

// networkDir has networkd's files.
const networkDir = "/etc/systemd/network"

// network makes networkd follow its files, if some are among the paths. A
// reload configures the links anew whose files changed. During a boot there is
// no bus for it yet, and networkd may have read the files already.
func (s systemd) network(paths []string) {
	for _, p := range paths {
		if !strings.HasPrefix(p, networkDir+"/") {
			continue
		}
		if s.wait && s.t.Run != nil {
			_, _ = s.t.Run(s.ctx, "/usr/bin/networkctl", "reload") // networkd may not run
		} else {
			s.try("try-restart", "systemd-networkd.service")
		}
		return
	}
}

// units brings units back to a saved state.
func (s systemd) units(units []SavedUnit) {
	if len(units) == 0 {
		return
	}
	s.try("daemon-reload")
	for _, u := range units {
		if u.State.Enabled == "enabled" {
			s.try("enable", u.Name)
		}
	}
	for _, u := range units {
		switch {
		case u.State.Active && u.Files:
			s.try("restart", u.Name)
		case u.State.Active:
			s.try("start", u.Name)
		}
	}
}
