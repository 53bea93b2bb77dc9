package release

import (
	"bytes"
	"crypto/sha256"
	"strings"
	"testing"
)

func sha256Sum(s string) [32]byte { return sha256.Sum256([]byte(s)) }

func TestKeysAndBack(t *testing.T) {
	k := keyOf(t, "k")
	data, err := k.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParsePrivateKey(data)
	if err != nil || again.ID() != k.ID() {
		t.Errorf("%s became %s, %v", k.ID(), again.ID(), err)
	}
	public, err := k.MarshalPublic()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParsePrivateKey(public); err == nil {
		t.Error("a public key passed for a private one")
	}
	if _, err := ParseTrust(data); err == nil {
		t.Error("a private key passed for a public one")
	}
	if _, err := ParseTrust([]byte("nothing")); err == nil {
		t.Error("no key passed for one")
	}
}

func TestCertifyRefuses(t *testing.T) {
	root, key := keyOf(t, "r"), keyOf(t, "k")
	if _, err := Certify(root, root, begin, now); err == nil {
		t.Error("a root key certified itself")
	}
	if _, err := Certify(root, key, now, begin); err == nil {
		t.Error("a span that ends before it begins")
	}
	c, err := Certify(root, key, begin, now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Sign(nil, keyOf(t, "x"), []Certificate{c}); err == nil {
		t.Error("signed with a certificate for another key")
	}
	if _, err := Sign(nil, key, nil); err == nil {
		t.Error("signed without a certificate")
	}
}

func TestCertificatesAndBack(t *testing.T) {
	c, err := Certify(keyOf(t, "r"), keyOf(t, "k"), begin, now)
	if err != nil {
		t.Fatal(err)
	}
	data, err := MarshalCertificates([]Certificate{c})
	if err != nil {
		t.Fatal(err)
	}
	all, err := ParseCertificates(data)
	if err != nil || len(all) != 1 || !bytes.Equal(all[0].Signature, c.Signature) {
		t.Errorf("%+v, %v", all, err)
	}
}

func TestMarshalRefuses(t *testing.T) {
	m := sample()
	m.Payloads[0].Name = "../x"
	m.RootHash = strings.ToUpper(m.RootHash)
	_, err := Marshal(m)
	if err == nil || !strings.Contains(err.Error(), "../x") || !strings.Contains(err.Error(), "root_hash") {
		t.Errorf("want both faults, got %v", err)
	}
}

func TestCompareVersions(t *testing.T) {
	ordered := []string{"0.1.0", "0.1.9", "0.1.10", "0.2.0", "4.9.9", "4.10.0", "10.0.0"}
	for i, a := range ordered {
		for j, b := range ordered {
			if c := CompareVersions(a, b); (c < 0) != (i < j) || (c == 0) != (i == j) {
				t.Errorf("%s to %s: %d", a, b, c)
			}
		}
	}
}

// A manifest that is accepted encodes to the bytes that it was read from.
func FuzzManifest(f *testing.F) {
	data, err := Marshal(sample())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"schema":1}`))
	f.Add([]byte(`{"schema":2}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := parse(data)
		if err != nil {
			return
		}
		if again, err := Marshal(m); err != nil || !bytes.Equal(again, data) {
			t.Errorf("encodes to other bytes, %v", err)
		}
	})
}

// No signature file makes the check panic, or pass.
func FuzzSignature(f *testing.F) {
	s := sign(f, sample())
	f.Add(s.signature)
	f.Add([]byte(`{"certificates":[{"key":"AAAA"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		other := append([]byte("x"), s.manifest...)
		if _, err := Verify(s.trust, other, data, s.policy); err == nil {
			t.Error("a manifest that nobody signed was accepted")
		}
	})
}
