package release

import (
	"bytes"
	"strings"
	"testing"
)

func TestPackage(t *testing.T) {
	var b bytes.Buffer
	if err := WritePackage(&b, []byte("manifest"), []byte("sig"), strings.NewReader("payload")); err != nil {
		t.Fatal(err)
	}
	h, err := ParsePackageHead(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	m, s := h.Split(b.Bytes())
	if string(m) != "manifest" || string(s) != "sig" || string(b.Bytes()[h.Payload:]) != "payload" {
		t.Errorf("%q, %q, payload at %d", m, s, h.Payload)
	}
	if m, s := h.Split(b.Bytes()[:h.Payload-1]); m != nil || s != nil {
		t.Error("a cut package was split")
	}
}

func TestPackageRefuses(t *testing.T) {
	for _, head := range []string{"", "WCUPDATE", "WCUPDAT\x01\x00\x00\x00\x01\x00\x00\x00\x01", "WCUPDATE\x7f\x00\x00\x00\x00\x00\x00\x01", "WCUPDATE\x00\x00\x00\x01\x00\xff\x00\x01"} {
		if h, err := ParsePackageHead([]byte(head)); err == nil {
			t.Errorf("%q: %+v", head, h)
		}
	}
}
