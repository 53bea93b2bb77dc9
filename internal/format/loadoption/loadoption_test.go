package loadoption

import (
	"bytes"
	"encoding/hex"
	"testing"
)

// TestEncode compares with an entry of efibootmgr 18 for the same values.
func TestEncode(t *testing.T) {
	o := Option{Description: "Linux", Partition: 1, Start: 2048, Size: 0x200000, GUID: [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, File: `\EFI\a.efi`}
	want, _ := hex.DecodeString("01000000" + "4800" + "4c0069006e00750078000000" +
		"04012a00" + "01000000" + "0008000000000000" + "0000200000000000" + "0102030405060708090a0b0c0d0e0f10" + "0202" +
		"04041a00" + "5c004500460049005c0061002e006500660069000000" + "7fff0400")
	if got := o.Encode(); !bytes.Equal(got, want) {
		t.Errorf("%x\nwant\n%x", got, want)
	}
	if d, err := Description(o.Encode()); err != nil || d != "Linux" {
		t.Errorf("%q, %v", d, err)
	}
	for _, bad := range [][]byte{nil, want[:9]} {
		if _, err := Description(bad); err == nil {
			t.Errorf("%x has a description", bad)
		}
	}
}
