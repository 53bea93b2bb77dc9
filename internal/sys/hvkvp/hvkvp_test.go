package hvkvp

import (
	"context"
	"encoding/binary"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func set(pool byte, key, value string) []byte {
	m := make([]byte, messageSize)
	m[0], m[1] = opSet, pool
	binary.LittleEndian.PutUint32(m[headSize+4:], uint32(len(key)+1))
	binary.LittleEndian.PutUint32(m[headSize+8:], uint32(len(value)+1))
	copy(m[headSize+12:], key)
	copy(m[headSize+12+keySize:], value)
	return m
}

// TestReceive plays the host over a pair of sockets that keep messages apart.
func TestReceive(t *testing.T) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	guest, host := os.NewFile(uintptr(fds[0]), "guest"), os.NewFile(uintptr(fds[1]), "host")
	defer guest.Close()
	defer host.Close()
	hello := make([]byte, messageSize)
	hello[0] = version1
	for _, m := range [][]byte{hello, set(0, "ignition.config.0", "{"), set(3, "HostName", "h")} {
		if _, err := host.Write(m); err != nil {
			t.Fatal(err)
		}
	}
	got, err := receive(context.Background(), guest, 20*time.Millisecond)
	want := []Entry{{0, "ignition.config.0", "{"}, {3, "HostName", "h"}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%s %v", diff, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(set(0, "a", "b"))
	f.Add(make([]byte, messageSize))
	f.Fuzz(func(t *testing.T, data []byte) { parse(data) })
}
