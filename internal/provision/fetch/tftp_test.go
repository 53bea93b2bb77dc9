package fetch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"wellcar.dev/internal/provision"
	"wellcar.dev/internal/provision/fetch/tftptest"
)

func TestTFTP(t *testing.T) {
	files := map[string]string{"empty": "", "short": "text", "dir/block": strings.Repeat("b", tftpWanted),
		"long": strings.Repeat("0123456789", 20000), "gz": packed("unpacked")}
	at := "tftp://" + tftptest.Serve(t, files).String()
	c := newClient(t, Options{})
	for name, text := range files {
		want(t, c, provision.Request{URL: at + "/" + name}, text)
	}
	want(t, c, provision.Request{URL: at + "/gz", Compression: "gzip"}, "unpacked")
	if err := refused(t, c, provision.Request{URL: at + "/none"}, "fetching "+at+"/none: "); !errors.Is(err, provision.ErrNotFound) {
		t.Log("the server gives no code for what is missing:", err)
	}
	for _, u := range []string{"tftp:///x", "tftp://h", "tftp://h/"} {
		refused(t, c, provision.Request{URL: u}, "write tftp://HOST/FILE")
	}
}

func packet(op, number uint16, data string) []byte {
	return append(binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, op), number), data...)
}

// TestTFTPOddServers plays servers packet by packet: each answers the request
// and then every acknowledgement with the next of its packets.
func TestTFTPOddServers(t *testing.T) {
	full := strings.Repeat("x", tftpBlock)
	for name, tc := range map[string]struct {
		packets   [][]byte
		want, err string
	}{
		"no options":    {packets: [][]byte{packet(3, 1, full), packet(3, 2, "y")}, want: full + "y"},
		"not found":     {packets: [][]byte{packet(5, 1, "no such file\x00")}, err: `not found: the server says "no such file"`},
		"denied":        {packets: [][]byte{packet(5, 2, "no\x00")}, err: `the server refuses with code 2: "no"`},
		"odd size":      {packets: [][]byte{append([]byte{0, 6}, "blksize\x0099999\x00"...)}, err: `the server grants blocks of "99999" bytes`},
		"odd option":    {packets: [][]byte{append([]byte{0, 6}, "tsize\x001\x00"...)}, err: `an option nobody asked for: "tsize"`},
		"long block":    {packets: [][]byte{packet(3, 1, full+"z")}, err: "sends a block of 513 bytes instead of 512"},
		"smaller":       {packets: [][]byte{append([]byte{0, 6}, "blksize\x008\x00"...), packet(3, 1, "12345678"), packet(3, 2, "")}, want: "12345678"},
		"error halfway": {packets: [][]byte{packet(3, 1, full), packet(5, 0, "disk on fire\x00")}, err: "disk on fire"},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.ListenPacket("udp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan bool)
			go func() {
				defer close(done)
				buf := make([]byte, 2000)
				for _, p := range tc.packets {
					_, from, err := conn.ReadFrom(buf)
					if err != nil {
						return
					}
					conn.WriteTo([]byte{9}, from) // rubbish
					conn.WriteTo(packet(3, 77, "not yet"), from)
					conn.WriteTo(p, from)
				}
			}()
			c := newClient(t, Options{})
			r := provision.Request{URL: "tftp://" + conn.LocalAddr().String() + "/f"}
			if tc.err == "" {
				want(t, c, r, tc.want)
			} else {
				refused(t, c, r, tc.err)
			}
			conn.Close()
			<-done
		})
	}
}

// TestTFTPOneBlock has a server that ignores options and sends its one block
// from a port of the transfer's own, where the acknowledgement belongs.
func TestTFTPOneBlock(t *testing.T) {
	asked, answers := listen(t), listen(t)
	got := make(chan []byte, 1)
	go func() {
		buf := make([]byte, 2000)
		_, from, err := asked.ReadFrom(buf)
		if err == nil {
			answers.WriteTo(packet(3, 1, "all of it"), from)
			answers.SetReadDeadline(time.Now().Add(10 * time.Second))
			n, _, _ := answers.ReadFrom(buf)
			got <- buf[:n]
		}
	}()
	want(t, newClient(t, Options{}), provision.Request{URL: "tftp://" + asked.LocalAddr().String() + "/f"}, "all of it")
	if ack := <-got; !bytes.Equal(ack, acknowledge(1)) {
		t.Errorf("acknowledged with %q", ack)
	}
}

func listen(t *testing.T) net.PacketConn {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func FuzzTFTP(f *testing.F) {
	for _, p := range [][]byte{packet(3, 1, "x"), packet(5, 1, "no\x00"), append([]byte{0, 6}, "blksize\x008\x00"...), {0}} {
		f.Add(p, p)
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		conn, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		x := &tftpTransfer{conn: conn, peer: conn.LocalAddr(), size: tftpBlock, last: readRequest("f", tftpWanted)}
		for _, p := range [][]byte{first, second} {
			if fresh, err := x.take(p, conn.LocalAddr()); fresh && err == nil && len(x.rest) > x.size {
				t.Errorf("a block of %d bytes", len(x.rest))
			}
		}
		if !bytes.HasPrefix(x.last, []byte{0}) {
			t.Error("no packet to send")
		}
	})
}
