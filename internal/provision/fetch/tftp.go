package fetch

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"wellcar.dev/internal/provision"
)

// TFTP: https://www.rfc-editor.org/rfc/rfc1350, options rfc2347 and rfc2348.
const (
	tftpRead   = 1
	tftpData   = 3
	tftpAck    = 4
	tftpError  = 5
	tftpOption = 6

	tftpPort      = "69"
	tftpBlock     = 512           // bytes, without the option
	tftpWanted    = 1428          // fits an Ethernet frame
	tftpPatience  = time.Second   // before a packet is sent again, doubling
	tftpTries     = 6             // about a minute
	tftpPacketMax = 4 + 65464 + 1 // one more than the largest
)

// tftpTransfer is one file under way. It is read once, from beginning to end.
type tftpTransfer struct {
	ctx   context.Context
	conn  net.PacketConn
	peer  net.Addr // after the first answer: the port of this transfer
	last  []byte   // packet to repeat when nothing comes
	block uint16   // the last one that came
	size  int      // of a block
	buf   []byte
	rest  []byte // of the last block
	done  bool
}

func (c *Client) tftp(ctx context.Context, u *url.URL, r provision.Request, w io.Writer) error {
	port := u.Port()
	if port == "" {
		port = tftpPort
	}
	name := strings.TrimPrefix(u.Path, "/")
	if u.Hostname() == "" || name == "" || strings.ContainsRune(name, 0) {
		return errors.New("write tftp://HOST/FILE")
	}
	server, err := resolveUDP(ctx, u.Hostname(), port)
	if err != nil {
		return err
	}
	conn, err := (&net.ListenConfig{}).ListenPacket(ctx, "udp", "")
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	t := &tftpTransfer{ctx: ctx, conn: conn, peer: server, size: tftpBlock, buf: make([]byte, tftpPacketMax)}
	t.last = readRequest(name, tftpWanted)
	return provision.Receive(r, t, w)
}

func resolveUDP(ctx context.Context, host, port string) (*net.UDPAddr, error) {
	addrs, err := net.DefaultResolver.LookupIPAddr(ctx, host)
	if err != nil {
		return nil, err
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return nil, err
	}
	return &net.UDPAddr{IP: addrs[0].IP, Port: number, Zone: addrs[0].Zone}, nil
}

// readRequest asks for a file as it is, in blocks of a size.
func readRequest(name string, size int) []byte {
	words := []string{name, "octet", "blksize", strconv.Itoa(size)}
	return append([]byte{0, tftpRead}, strings.Join(words, "\x00")+"\x00"...)
}

func (t *tftpTransfer) Read(p []byte) (int, error) {
	for len(t.rest) == 0 {
		if t.done {
			return 0, io.EOF
		}
		if err := t.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, t.rest)
	t.rest = t.rest[n:]
	return n, nil
}

// next sends what was acknowledged last, and again when nothing comes, until
// the next block is there.
func (t *tftpTransfer) next() error {
	patience := tftpPatience
	for range tftpTries {
		if _, err := t.conn.WriteTo(t.last, t.peer); err != nil {
			return err
		}
		got, err := t.await(time.Now().Add(patience))
		if got || err != nil {
			return err
		}
		patience *= 2
	}
	return errors.New("the server does not answer")
}

// await takes packets until the block after the last one came, or the time
// is over.
func (t *tftpTransfer) await(until time.Time) (bool, error) {
	t.conn.SetReadDeadline(until)
	for {
		if t.ctx.Err() != nil {
			return false, context.Cause(t.ctx)
		}
		n, from, err := t.conn.ReadFrom(t.buf)
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			return false, cause(t.ctx)
		}
		if err != nil {
			return false, err
		}
		if !t.fromPeer(from) {
			continue
		}
		if fresh, err := t.take(t.buf[:n], from); err != nil || fresh {
			return fresh, err
		}
	}
}

func cause(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return context.Cause(ctx)
}

// fromPeer tells whether a packet is of this transfer: its server may answer
// from another port once, and then no more.
func (t *tftpTransfer) fromPeer(from net.Addr) bool {
	a, b := from.(*net.UDPAddr), t.peer.(*net.UDPAddr)
	begun := t.last[1] == tftpAck
	return a.IP.Equal(b.IP) && (!begun || a.Port == b.Port)
}

// take reads a packet, and tells whether it is what comes next. Who sent that
// is the peer from then on.
func (t *tftpTransfer) take(p []byte, from net.Addr) (fresh bool, err error) {
	if len(p) < 4 {
		return false, nil
	}
	number := binary.BigEndian.Uint16(p[2:])
	switch binary.BigEndian.Uint16(p) {
	case tftpData:
		return t.data(number, p[4:], from)
	case tftpOption:
		if t.last[1] == tftpAck {
			return false, nil
		}
		if t.size, err = blockSize(p[2:]); err != nil {
			return false, err
		}
		t.last, t.peer = acknowledge(0), from
		return true, nil
	case tftpError:
		return false, refusal(number, p[4:])
	}
	return false, nil
}

func (t *tftpTransfer) data(number uint16, data []byte, from net.Addr) (bool, error) {
	if number != t.block+1 {
		return false, nil // one that came twice
	}
	if len(data) > t.size {
		return false, fmt.Errorf("the server sends a block of %d bytes instead of %d", len(data), t.size)
	}
	t.block, t.rest, t.done = number, data, len(data) < t.size
	t.last, t.peer = acknowledge(number), from
	if t.done { // there is nothing to wait for
		_, err := t.conn.WriteTo(t.last, t.peer)
		return true, err
	}
	return true, nil
}

func acknowledge(block uint16) []byte {
	return binary.BigEndian.AppendUint16([]byte{0, tftpAck}, block)
}

// blockSize reads what the server made of the options.
func blockSize(options []byte) (int, error) {
	words := strings.Split(strings.TrimSuffix(string(options), "\x00"), "\x00")
	size := tftpBlock
	for i := 0; i+1 < len(words); i += 2 {
		if !strings.EqualFold(words[i], "blksize") {
			return 0, fmt.Errorf("the server grants an option nobody asked for: %q", words[i])
		}
		n, err := strconv.Atoi(words[i+1])
		if err != nil || n < 8 || n > tftpWanted {
			return 0, fmt.Errorf("the server grants blocks of %q bytes", words[i+1])
		}
		size = n
	}
	return size, nil
}

// refusal is an error packet in words.
func refusal(code uint16, text []byte) error {
	words := strings.ToValidUTF8(strings.TrimRight(string(text), "\x00"), "?")
	if code == 1 {
		return fmt.Errorf("%w: the server says %q", provision.ErrNotFound, words)
	}
	return fmt.Errorf("the server refuses with code %d: %q", code, words)
}
