package efivar

import (
	"os"
	"testing"
)

func TestVars(t *testing.T) {
	v := Vars{t.TempDir()}
	if _, ok, err := v.Get("BootNext"); ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
	if err := v.Set("BootNext", []byte{3, 0}); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(v.Dir + "/BootNext-8be4df61-93ca-11d2-aa0d-00e098032b8c")
	if err != nil || string(raw) != "\x07\x00\x00\x00\x03\x00" {
		t.Errorf("%x, %v", raw, err)
	}
	if got, ok, err := v.Get("BootNext"); !ok || err != nil || string(got) != "\x03\x00" {
		t.Errorf("%x, %v, %v", got, ok, err)
	}
	for range 2 {
		if err := v.Delete("BootNext"); err != nil {
			t.Error(err)
		}
	}
	if _, ok, _ := v.Get("BootNext"); ok {
		t.Error("it is still there")
	}
	if err := (Vars{v.Dir + "/none"}).Set("BootNext", nil); err == nil {
		t.Error("a variable was written where there are none")
	}
}
