// Package tftptest serves files to tests by another implementation of TFTP.
package tftptest

import (
	"io"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/pin/tftp/v3"
)

// Serve serves texts by their names on a free port of the loopback until the
// test ends.
func Serve(t testing.TB, files map[string]string) net.Addr {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	s := tftp.NewServer(func(name string, to io.ReaderFrom) error {
		text, ok := files[name]
		if !ok {
			return os.ErrNotExist
		}
		_, err := to.ReadFrom(strings.NewReader(text))
		return err
	}, nil)
	done := make(chan error)
	go func() { done <- s.Serve(conn) }()
	t.Cleanup(func() {
		s.Shutdown()
		<-done
	})
	return conn.LocalAddr()
}
