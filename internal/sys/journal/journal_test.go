package journal

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
)

func TestSend(t *testing.T) {
	name := filepath.Join(t.TempDir(), "s")
	server, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	l, err := Dial(name, "ignition")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.Send(6, "two\nlines", Field{"MESSAGE_ID", "00ff"}); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	n, err := server.Read(buf)
	got := string(buf[:n])
	for _, want := range []string{"PRIORITY=6\n", "SYSLOG_IDENTIFIER=ignition\n", "MESSAGE\n\x09\x00\x00\x00\x00\x00\x00\x00two\nlines\n", "MESSAGE_ID=00ff\n"} {
		if err != nil || !strings.Contains(got, want) {
			t.Errorf("%q lacks %q, %v", got, want, err)
		}
	}
}

func TestDialWithoutJournal(t *testing.T) {
	if _, err := Dial(filepath.Join(t.TempDir(), "s"), "x"); err == nil {
		t.Error("connected")
	}
}
