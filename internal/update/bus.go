//go:build linux

package update

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/godbus/dbus/v5/introspect"
)

// The names on the system bus, which are Flatcar's and before that CoreOS'.
const (
	BusName      = "com.coreos.update1"
	BusPath      = dbus.ObjectPath("/com/coreos/update1")
	BusInterface = "com.coreos.update1.Manager"
	// ExtraInterface is what those do not have: why.
	ExtraInterface = "dev.wellcar.Update1"
)

// manager is the object on the bus.
type manager struct{ s *Service }

// AttemptUpdate is as on the bus.
func (m manager) AttemptUpdate() *dbus.Error { m.s.Attempt(); return nil }

// ResetStatus is as on the bus.
func (m manager) ResetStatus() *dbus.Error {
	if err := m.s.Reset(); err != nil {
		return dbus.MakeFailedError(err)
	}
	return nil
}

// GetStatus is as on the bus.
func (m manager) GetStatus() (int64, float64, string, string, int64, *dbus.Error) {
	s := m.s.Status()
	return s.LastChecked, s.Progress, string(s.Operation), s.NewVersion, s.NewSize, nil
}

// extra is the object's other interface.
type extra struct{ s *Service }

// GetDecision tells what was last decided about a version, and why.
func (e extra) GetDecision() (version, outcome, reason string, fault *dbus.Error) {
	kept, err := LoadState(e.s.Root)
	if err != nil {
		return "", "", "", dbus.MakeFailedError(err)
	}
	d := kept.Decision
	return d.Version, d.Outcome, d.Reason, nil
}

// GetLastError tells why the last check failed.
func (e extra) GetLastError() (string, *dbus.Error) { return e.s.LastError(), nil }

// Export puts the service on a bus; Start must have been called. The
// service's changes become signals, and so does the status that it has.
func Export(conn *dbus.Conn, s *Service) error {
	err := errors.Join(conn.Export(manager{s}, BusPath, BusInterface), conn.Export(extra{s}, BusPath, ExtraInterface),
		conn.Export(introspection(), BusPath, "org.freedesktop.DBus.Introspectable"))
	if err != nil {
		return fmt.Errorf("offering %s on the bus: %w", BusName, err)
	}
	reply, err := conn.RequestName(BusName, dbus.NameFlagDoNotQueue)
	if err == nil && reply != dbus.RequestNameReplyPrimaryOwner {
		err = errors.New("another program has the name")
	}
	if err != nil {
		return fmt.Errorf("offering %s on the bus: %w", BusName, err)
	}
	s.Repeat()
	return nil
}

// Signal sends the status as a signal.
func Signal(conn *dbus.Conn, s Status) error {
	return conn.Emit(BusPath, BusInterface+".StatusUpdate", s.LastChecked, s.Progress, string(s.Operation), s.NewVersion, s.NewSize)
}

func introspection() introspect.Introspectable {
	args := func(types ...string) (out []introspect.Arg) {
		for i := 0; i < len(types); i += 2 {
			out = append(out, introspect.Arg{Name: types[i], Type: types[i+1], Direction: "out"})
		}
		return out
	}
	status := []string{"last_checked_time", "x", "progress", "d", "current_operation", "s", "new_version", "s", "new_size", "x"}
	signal := args(status...)
	for i := range signal {
		signal[i].Direction = ""
	}
	node := &introspect.Node{XMLName: xml.Name{Local: "node"}, Name: string(BusPath), Interfaces: []introspect.Interface{
		introspect.IntrospectData,
		{Name: BusInterface, Methods: []introspect.Method{{Name: "AttemptUpdate"}, {Name: "ResetStatus"}, {Name: "GetStatus", Args: args(status...)}},
			Signals: []introspect.Signal{{Name: "StatusUpdate", Args: signal}}},
		{Name: ExtraInterface, Methods: []introspect.Method{{Name: "GetDecision", Args: args("version", "s", "outcome", "s", "reason", "s")}, {Name: "GetLastError", Args: args("reason", "s")}}},
	}}
	return introspect.NewIntrospectable(node)
}

// Remotely is the service as other programs see it.
type Remotely struct{ conn *dbus.Conn }

// Connect reaches the service on the system bus: four attempts, ten seconds
// apart, as Flatcar's client makes.
func Connect(ctx context.Context) (*Remotely, error) {
	var last error
	for n := range 4 {
		if n > 0 {
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(10 * time.Second):
			}
		}
		conn, err := dbus.ConnectSystemBus(dbus.WithContext(ctx))
		if err == nil {
			r := &Remotely{conn}
			if _, err = r.Status(ctx); err == nil {
				return r, nil
			}
			conn.Close()
		}
		last = err
	}
	return nil, fmt.Errorf("reaching update-engine on the bus: %w", last)
}

// Close leaves the bus.
func (r *Remotely) Close() error { return r.conn.Close() }

func (r *Remotely) call(ctx context.Context, method string) *dbus.Call {
	return r.conn.Object(BusName, BusPath).CallWithContext(ctx, method, 0)
}

// Status asks for the status.
func (r *Remotely) Status(ctx context.Context) (s Status, err error) {
	err = r.call(ctx, BusInterface+".GetStatus").Store(&s.LastChecked, &s.Progress, (*string)(&s.Operation), &s.NewVersion, &s.NewSize)
	return s, err
}

// Attempt asks for a check.
func (r *Remotely) Attempt(ctx context.Context) error {
	return r.call(ctx, BusInterface+".AttemptUpdate").Err
}

// Reset undoes a staged update.
func (r *Remotely) Reset(ctx context.Context) error {
	return r.call(ctx, BusInterface+".ResetStatus").Err
}

// LastError asks why the last check failed.
func (r *Remotely) LastError(ctx context.Context) (reason string, err error) {
	err = r.call(ctx, ExtraInterface+".GetLastError").Store(&reason)
	return reason, err
}

// Watch calls back with each status from now on, until the context ends or
// the callback says so.
func (r *Remotely) Watch(ctx context.Context, f func(Status) (done bool)) error {
	if err := r.conn.AddMatchSignalContext(ctx, dbus.WithMatchObjectPath(BusPath), dbus.WithMatchInterface(BusInterface), dbus.WithMatchMember("StatusUpdate")); err != nil {
		return fmt.Errorf("watching update-engine: %w", err)
	}
	signals := make(chan *dbus.Signal, 64)
	r.conn.Signal(signals)
	defer r.conn.RemoveSignal(signals)
	if s, err := r.Status(ctx); err == nil && f(s) {
		return nil
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case sig, ok := <-signals:
			if !ok {
				return errors.New("watching update-engine: the bus closed the connection")
			}
			var s Status
			if dbus.Store(sig.Body, &s.LastChecked, &s.Progress, (*string)(&s.Operation), &s.NewVersion, &s.NewSize) == nil && f(s) {
				return nil
			}
		}
	}
}
