//go:build linux

package dm

import (
	"encoding/binary"
	"strings"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
)

func TestStructuresHaveTheKernelsLayout(t *testing.T) {
	if n := unsafe.Sizeof(header{}); n != headerSize {
		t.Errorf("struct dm_ioctl has %d bytes, the kernel's %d", n, headerSize)
	}
	if n := unsafe.Sizeof(spec{}); n != specSize {
		t.Errorf("struct dm_target_spec has %d bytes, the kernel's %d", n, specSize)
	}
	if got, want := request(cmdCreate), uintptr(0xc138fd03); got != want {
		t.Errorf("DM_DEV_CREATE = %#x, want %#x", got, want)
	}
}

func TestEncode(t *testing.T) {
	target := Target{Type: "verity", Size: 1 << 20, Params: "1 /dev/vda3"}
	buf, err := message{uuid: "CRYPT-VERITY-x", target: &target}.encode("usr")
	if err != nil {
		t.Fatal(err)
	}
	if len(buf) != 312+40+16 || binary.NativeEndian.Uint32(buf[12:]) != uint32(len(buf)) {
		t.Errorf("message of %d bytes, its header says %d", len(buf), binary.NativeEndian.Uint32(buf[12:]))
	}
	got := []string{text(buf[48:176]), text(buf[176:305]), text(buf[312+24 : 312+40]), text(buf[312+40:])}
	if diff := cmp.Diff([]string{"usr", "CRYPT-VERITY-x", "verity", "1 /dev/vda3"}, got); diff != "" {
		t.Error(diff)
	}
	if sectors := binary.NativeEndian.Uint64(buf[312+8:]); sectors != 2048 {
		t.Errorf("target has %d sectors, want 2048", sectors)
	}
	if _, err := (message{}).encode(strings.Repeat("n", 128)); err == nil {
		t.Error("a name of 128 bytes was accepted")
	}
}

func text(b []byte) string { s, _, _ := strings.Cut(string(b), "\x00"); return s }
