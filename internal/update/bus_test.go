//go:build linux

package update

import (
	"bufio"
	"encoding/binary"
	"net"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"
)

// playBus is the other end of a connection to a bus that has one client. It
// gives the name that is asked for, and hands over the first signal.
func playBus(t *testing.T, end net.Conn, signals chan<- *dbus.Message) {
	defer close(signals)
	in := bufio.NewReader(end)
	answers := map[string]string{"AUTH": "REJECTED ANONYMOUS\r\n", "AUTH ANONYMOUS": "OK 0123456789abcdef0123456789abcdef\r\n"}
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			t.Error(err)
			return
		}
		line = strings.TrimSpace(strings.TrimPrefix(line, "\x00"))
		if line == "BEGIN" {
			break
		}
		for _, asked := range []string{"AUTH ANONYMOUS", "AUTH"} {
			if strings.HasPrefix(line, asked) {
				end.Write([]byte(answers[asked]))
				break
			}
		}
	}
	for {
		m, err := dbus.DecodeMessage(in)
		if err != nil {
			return // the client has left
		}
		switch m.Type {
		case dbus.TypeSignal:
			signals <- m
		case dbus.TypeMethodCall:
			reply := &dbus.Message{Type: dbus.TypeMethodReply, Headers: map[dbus.HeaderField]dbus.Variant{
				dbus.FieldReplySerial: dbus.MakeVariant(m.Serial()), dbus.FieldSignature: dbus.MakeVariant(dbus.SignatureOf(uint32(0)))},
				Body: []any{uint32(dbus.RequestNameReplyPrimaryOwner)}}
			if err := reply.EncodeTo(end, binary.LittleEndian); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestExportTells: who listens hears of an update that waits for a reboot when
// the client comes to the bus, for another program may have installed it.
func TestExportTells(t *testing.T) {
	mine, theirs := net.Pipe()
	defer theirs.Close()
	signals := make(chan *dbus.Message, 1)
	go playBus(t, theirs, signals)
	conn, err := dbus.NewConn(mine)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Auth([]dbus.Auth{dbus.AuthAnonymous()}); err != nil {
		t.Fatal(err)
	}
	s := &Service{}
	s.board = board{status: Status{Operation: NeedReboot, NewVersion: "1.1.0"}, tell: func(st Status) {
		if err := Signal(conn, st); err != nil {
			t.Error(err)
		}
	}}
	if err := Export(conn, s); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	m := <-signals
	if m == nil || len(m.Body) != 5 || m.Body[2] != string(NeedReboot) || m.Body[3] != "1.1.0" {
		t.Errorf("%v", m)
	}
}
