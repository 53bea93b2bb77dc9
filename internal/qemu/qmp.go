package qemu

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
)

// Monitor is a connection to QEMU's monitor. Its methods may be called from
// several goroutines; commands run one after another.
type Monitor struct {
	conn net.Conn

	mu      sync.Mutex // one command at a time
	answers chan qmpMessage
	closed  chan struct{} // closed when the connection has ended
}

type qmpMessage struct {
	QMP    json.RawMessage `json:"QMP"`
	Return json.RawMessage `json:"return"`
	Event  string          `json:"event"`
	Error  *struct {
		Class string `json:"class"`
		Desc  string `json:"desc"`
	} `json:"error"`
}

// NewMonitor speaks the greeting on a connection and returns it ready for
// commands. It owns the connection.
func NewMonitor(ctx context.Context, conn net.Conn) (*Monitor, error) {
	m := &Monitor{conn: conn, answers: make(chan qmpMessage, 1), closed: make(chan struct{})}
	go m.read()
	err := m.await(ctx, nil) // the greeting
	if err == nil {
		err = m.Do(ctx, "qmp_capabilities", nil, nil)
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("greeting QEMU's monitor: %w", err)
	}
	return m, nil
}

// DialMonitor connects to a monitor socket, such as VM.MonitorPath.
func DialMonitor(ctx context.Context, path string) (*Monitor, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("reaching QEMU's monitor: %w", err)
	}
	return NewMonitor(ctx, conn)
}

// Close ends the connection, not the machine.
func (m *Monitor) Close() error { return m.conn.Close() }

func (m *Monitor) read() {
	defer close(m.closed)
	defer m.conn.Close()
	dec := json.NewDecoder(bufio.NewReader(m.conn))
	for {
		var msg qmpMessage
		if err := dec.Decode(&msg); err != nil {
			return
		}
		if msg.Event != "" { // SHUTDOWN, RESET, STOP: nobody waits for one
			continue
		}
		select {
		case m.answers <- msg:
		default: // nobody asked
		}
	}
}

// Do runs a command; args and result may be nil.
func (m *Monitor) Do(ctx context.Context, command string, args, result any) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	line, err := json.Marshal(struct {
		Execute   string `json:"execute"`
		Arguments any    `json:"arguments,omitempty"`
	}{command, args})
	if err != nil {
		return fmt.Errorf("writing monitor command %s: %w", command, err)
	}
	if _, err := m.conn.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("sending monitor command %s: %w", command, err)
	}
	if err := m.await(ctx, result); err != nil {
		return fmt.Errorf("monitor command %s: %w", command, err)
	}
	return nil
}

// await takes the next answer. A caller that gives up closes the connection,
// as the late answer would be taken for that of the next command.
func (m *Monitor) await(ctx context.Context, result any) error {
	select {
	case msg := <-m.answers:
		if msg.Error != nil {
			return fmt.Errorf("%s (%s)", msg.Error.Desc, msg.Error.Class)
		}
		if result == nil || len(msg.Return) == 0 {
			return nil
		}
		return json.Unmarshal(msg.Return, result)
	case <-m.closed:
		return errors.New("QEMU closed the connection")
	case <-ctx.Done():
		m.conn.Close()
		return context.Cause(ctx)
	}
}

// Human runs a command of QEMU's human monitor and returns what it prints.
func (m *Monitor) Human(ctx context.Context, line string) (string, error) {
	var out string
	err := m.Do(ctx, "human-monitor-command", map[string]string{"command-line": line}, &out)
	return out, err
}
