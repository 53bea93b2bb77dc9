package qemu

import (
	"crypto/rand"
	"fmt"
	"net"
	"strconv"
)

// Segment is an Ethernet between machines of one host: all that name the same
// port. Its frames are datagrams of a multicast group on the loopback, so it
// needs no root, and none leaves the host
// (https://www.qemu.org/docs/master/system/invocation.html, -netdev socket).
//
// Limits: nothing on it gives out addresses. A machine gets its own frames
// back, which its kernel passes over but upsets a bridge in it. Every user of the
// host can take part.
type Segment struct {
	Port int    // UDP, 1 to 65535; 0: no segment
	MAC  string // of this machine's card; "": a random one
}

// segmentGroup is the group of QEMU's own examples; segments differ by their ports.
const segmentGroup = "230.0.0.1"

// ParseSegment reads the --segment flag.
func ParseSegment(s string) (Segment, error) {
	port, err := strconv.ParseUint(s, 10, 16)
	if err != nil || port == 0 {
		return Segment{}, fmt.Errorf("%q is no port: write a number from 1 to 65535", s)
	}
	return Segment{Port: int(port)}, nil
}

// FreeSegment is one that no other machine is on: the kernel gives a port that
// no socket of the host has, and another at the next call.
func FreeSegment() (Segment, error) {
	conn, err := net.ListenPacket("udp4", ":0")
	if err != nil {
		return Segment{}, fmt.Errorf("choosing a port for the network of machines: %w", err)
	}
	defer conn.Close()
	return Segment{Port: conn.LocalAddr().(*net.UDPAddr).Port}, nil
}

// withDefaults gives the card an address, and refuses what QEMU would.
func (s Segment) withDefaults() (Segment, error) {
	if s.Port == 0 {
		return s, nil
	}
	if s.Port < 0 || s.Port > 65535 {
		return s, fmt.Errorf("starting a machine: segment %d: it must be a port from 1 to 65535", s.Port)
	}
	if s.MAC == "" {
		s.MAC = randomMAC()
	}
	if mac, err := net.ParseMAC(s.MAC); err != nil || len(mac) != 6 || mac[0]&1 != 0 {
		return s, fmt.Errorf("starting a machine: %q is no address of a network card", s.MAC)
	}
	return s, nil
}

// randomMAC is in QEMU's range, outside the part that the other cards are in.
func randomMAC() string {
	mac := net.HardwareAddr{0x52, 0x54, 0x00, 0, 0, 0}
	_, _ = rand.Read(mac[3:]) // never fails
	mac[3] |= 0x80
	return mac.String()
}

// arguments are QEMU's for the card.
func (s Segment) arguments() []string {
	return []string{
		"-netdev", fmt.Sprintf("socket,id=segment,mcast=%s:%d,localaddr=127.0.0.1", segmentGroup, s.Port),
		"-device", "virtio-net-pci,netdev=segment,romfile=,mac=" + s.MAC,
	}
}
