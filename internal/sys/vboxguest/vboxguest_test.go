//go:build linux

package vboxguest

import (
	"encoding/binary"
	"testing"
)

// TestRequests compares with the sizes and numbers that the C headers give.
func TestRequests(t *testing.T) {
	c := &connection{client: 7}
	b := c.call(fnGet, []parameter{{paramIn, []byte("/x\x00")}, {paramBi, make([]byte, 1)}, {param64, nil}, {param32, nil}})
	le := binary.LittleEndian
	if len(b) != 40+4*16 || le.Uint32(b) != uint32(len(b)) || le.Uint32(b[16:]) != uint32(len(b)) {
		t.Errorf("%d bytes: %x", len(b), b[:24])
	}
	if le.Uint32(b[24:]) != 7 || le.Uint32(b[28:]) != fnGet || le.Uint16(b[38:]) != 4 || le.Uint32(b[40:]) != paramIn || le.Uint32(b[44:]) != 3 {
		t.Errorf("%x", b)
	}
	for size, want := range map[int]uintptr{44: 0xc02c5600, 156: 0xc09c5604} { // VBG_IOCTL_DRIVER_VERSION_INFO, VBG_IOCTL_HGCM_CONNECT
		if got := number(int(want&0xff), size); got != want {
			t.Errorf("%#x, not %#x", got, want)
		}
	}
	if n := len(request(16, 20)); n != 44 {
		t.Errorf("version: %d bytes", n)
	}
	if n := len(request(132, 4)); n != 156 {
		t.Errorf("connect: %d bytes", n)
	}
}

func TestPropertyValue(t *testing.T) {
	if v, err := propertyValue([]byte("{}\x00TRANSIENT\x00")); err != nil || string(v) != "{}" {
		t.Errorf("%q %v", v, err)
	}
	if _, err := propertyValue([]byte("{}")); err == nil {
		t.Error("a value without an end was read")
	}
}
