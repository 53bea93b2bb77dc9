package release

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	begin = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	now   = begin.AddDate(0, 1, 0)
)

// keyOf makes a key that depends on a letter only.
func keyOf(t testing.TB, letter string) PrivateKey {
	t.Helper()
	k, err := GenerateKey(strings.NewReader(strings.Repeat(letter, ed25519.SeedSize)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func digest(letter string) string { return strings.Repeat(letter, 64) }

func sample() Manifest {
	return Manifest{
		Schema: Schema, Product: Product, Board: "amd64-usr", Channel: "stable", Version: "4.10.1", Minimum: "4.9.0",
		Expires: "2026-06-01T00:00:00Z", RootHash: digest("a"), Salt: digest("b"), UsrSize: 8192, TreeSize: 8192, UsrHash: digest("c"),
		UKISize: 100, UKIHash: digest("d"),
		Payloads: []Payload{
			{Kind: Full, File: File{"full.wellcar", 50, digest("e")}, HeadSize: 20, HeadHash: digest("f")},
			{Kind: Delta, File: File{"from-4.10.0.wellcar", 5, digest("1")}, HeadSize: 2, HeadHash: digest("2"), FromVersion: "4.10.0", FromRootHash: digest("3")},
		},
		Files: []File{{"version.txt", 3, digest("4")}},
	}
}

// signed is a manifest, its signature, and who is to believe it.
type signed struct {
	trust               Trust
	root, key           PrivateKey
	manifest, signature []byte
	policy              Policy
}

func sign(t testing.TB, m Manifest) signed {
	t.Helper()
	s := signed{root: keyOf(t, "r"), key: keyOf(t, "k"), policy: Policy{Now: now, Board: "amd64-usr"}}
	public, err := s.root.MarshalPublic()
	if err != nil {
		t.Fatal(err)
	}
	if s.trust, err = ParseTrust(public); err != nil {
		t.Fatal(err)
	}
	if s.manifest, err = Marshal(m); err != nil {
		t.Fatal(err)
	}
	s.resign(t, s.root)
	return s
}

// resign signs the manifest as it is now, with certificates of some roots.
func (s *signed) resign(t testing.TB, roots ...PrivateKey) {
	t.Helper()
	var all []Certificate
	for _, r := range roots {
		c, err := Certify(r, s.key, begin, begin.AddDate(1, 0, 0))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	var err error
	if s.signature, err = Sign(s.manifest, s.key, all); err != nil {
		t.Fatal(err)
	}
}

func (s signed) verify() (Manifest, error) { return Verify(s.trust, s.manifest, s.signature, s.policy) }

func TestVerifies(t *testing.T) {
	s := sign(t, sample())
	m, err := s.verify()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sample(), m); diff != "" {
		t.Error(diff)
	}
}

// attacks change what a machine gets; each must be refused for its reason.
var attacks = []struct {
	name string
	do   func(t *testing.T, s *signed)
	want error  // or
	text string // in the message
}{
	{name: "unsigned", do: func(t *testing.T, s *signed) { s.signature = []byte("{}") }, want: ErrSignature},
	{name: "empty-signature-file", do: func(t *testing.T, s *signed) { s.signature = nil }, text: "the signature file"},
	{name: "altered-manifest", do: func(t *testing.T, s *signed) {
		s.manifest = bytes.Replace(s.manifest, []byte("4.10.1"), []byte("4.10.2"), 1)
	}, want: ErrSignature},
	{name: "wrong-key", do: func(t *testing.T, s *signed) {
		s.root = keyOf(t, "x")
		s.resign(t, s.root)
	}, want: ErrSignature},
	{name: "certificate-of-another-root", do: func(t *testing.T, s *signed) {
		s.resign(t, keyOf(t, "x"))
		s.signature = bytes.ReplaceAll(s.signature, base64Of(t, keyOf(t, "x").public()), base64Of(t, s.root.public()))
	}, want: ErrSignature},
	{name: "key-swapped-in-certificate", do: func(t *testing.T, s *signed) {
		s.signature = bytes.ReplaceAll(s.signature, base64Of(t, s.key.public()), base64Of(t, keyOf(t, "x").public()))
	}, want: ErrSignature},
	{name: "signed-with-root-key", do: func(t *testing.T, s *signed) {
		c, err := Certify(keyOf(t, "x"), s.root, begin, begin.AddDate(1, 0, 0))
		if err != nil {
			t.Fatal(err)
		}
		c.Root, c.Signature = s.root.public(), ed25519.Sign(s.root.key, c.message())
		if s.signature, err = Sign(s.manifest, s.root, []Certificate{c}); err != nil {
			t.Fatal(err)
		}
	}, text: "a root key signs no releases"},
	{name: "certificate-taken-for-manifest", do: func(t *testing.T, s *signed) {
		c, err := Certify(s.root, s.key, begin, begin.AddDate(1, 0, 0))
		if err != nil {
			t.Fatal(err)
		}
		s.manifest = c.message()
		if s.signature, err = marshalSignature(Signature{[]Certificate{c}, c.Signature}); err != nil {
			t.Fatal(err)
		}
	}, want: ErrSignature},
	{name: "span-of-key-changed", do: func(t *testing.T, s *signed) {
		s.signature = bytes.Replace(s.signature, []byte("2027-"), []byte("2037-"), 1)
	}, want: ErrSignature},
	{name: "old-release-key", do: func(t *testing.T, s *signed) { s.policy.Now = begin.AddDate(1, 0, 0) }, want: ErrExpired},
	{name: "release-key-of-the-future", do: func(t *testing.T, s *signed) { s.policy.Now = begin.Add(-time.Second) }, want: ErrExpired},
	{name: "replay-beyond-expiry", do: func(t *testing.T, s *signed) { s.policy.Now = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC) }, want: ErrExpired},
	{name: "downgrade-below-minimum", do: func(t *testing.T, s *signed) { s.policy.Minimum = "4.10.2" }, want: ErrDowngrade},
	{name: "downgrade-by-text-order", do: func(t *testing.T, s *signed) { s.policy.Minimum = "4.11.0" }, want: ErrDowngrade},
	{name: "other-board", do: func(t *testing.T, s *signed) { s.policy.Board = "arm64-usr" }, want: ErrOther},
	{name: "truncated-manifest", do: func(t *testing.T, s *signed) { s.manifest = s.manifest[:len(s.manifest)-1] }, want: ErrSignature},
	{name: "oversize-manifest", do: func(t *testing.T, s *signed) {
		s.manifest = append(s.manifest, bytes.Repeat([]byte(" "), MaxManifest)...)
	}, text: "more than"},
	{name: "oversize-signature", do: func(t *testing.T, s *signed) {
		s.signature = append(s.signature, bytes.Repeat([]byte(" "), MaxSignature)...)
	}, text: "more than"},
	{name: "short-key-in-certificate", do: func(t *testing.T, s *signed) {
		s.signature = []byte(`{"certificates":[{"key":"AAAA","root":"AAAA"}],"signature":"AAAA"}`)
	}, text: "wrong size"},
}

func base64Of(t *testing.T, key []byte) []byte {
	t.Helper()
	data, err := marshalSignature(Signature{Signature: key})
	if err != nil {
		t.Fatal(err)
	}
	_, data, _ = bytes.Cut(data, []byte(`"signature": "`))
	return bytes.TrimSuffix(data, []byte("\"\n}\n"))
}

func TestAttacks(t *testing.T) {
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) {
			s := sign(t, sample())
			a.do(t, &s)
			m, err := s.verify()
			if err == nil {
				t.Fatalf("it was accepted: %+v", m)
			}
			if a.want != nil && !errors.Is(err, a.want) || !strings.Contains(err.Error(), a.text) {
				t.Errorf("refused for another reason: %v", err)
			}
		})
	}
}

// textAttacks are manifests by the right key that no machine may follow.
var textAttacks = []struct{ name, old, new, text string }{
	{"path-to-parent", `"version.txt"`, `"../version.txt"`, "plain file name"},
	{"absolute-path", `"version.txt"`, `"/etc/passwd"`, "plain file name"},
	{"path-with-backslash", `"version.txt"`, `"a\\b"`, "plain file name"},
	{"hidden-name", `"version.txt"`, `".version.txt"`, "plain file name"},
	{"name-of-the-manifest", `"version.txt"`, `"Manifest.JSON"`, "twice"},
	{"name-twice", `"version.txt"`, `"FULL.wellcar"`, "twice"},
	{"unknown-key", `"schema": 1,`, `"schema": 1,` + "\n \"more\": 1,", "one encoding"},
	{"key-twice", `"schema": 1,`, `"schema": 1,` + "\n \"schema\": 1,", "one encoding"},
	{"other-white-space", `"schema": 1,`, `"schema":1,`, "one encoding"},
	{"later-schema", `"schema": 1,`, `"schema": 2,`, "schema 2"},
	{"minimum-above-version", `"minimum": "4.9.0"`, `"minimum": "5.0.0"`, "own minimum"},
	{"never-expires", `"expires": "2026-06-01T00:00:00Z"`, `"expires": ""`, "not a time"},
	{"version-with-more", `"version": "4.10.1"`, `"version": "4.10.1/.."`, "MAJOR.MINOR.PATCH"},
	{"negative-size", `"size": 3`, `"size": -3`, "not possible"},
	{"usr-larger-than-slot", `"usr_size": 8192`, `"usr_size": 4294967296`, "whole blocks"},
	{"head-larger-than-payload", `"head_size": 20`, `"head_size": 51`, "head of 51"},
	{"delta-from-nothing", `"from_version": "4.10.0",` + "\n   \"from_root_hash\": \"" + digest("3") + `"`, `"from_version": ""`, "a delta names"},
	{"unknown-kind", `"kind": "full"`, `"kind": "script"`, "kind"},
}

func TestTextAttacks(t *testing.T) {
	for _, a := range textAttacks {
		t.Run(a.name, func(t *testing.T) {
			s := sign(t, sample())
			text := strings.Replace(string(s.manifest), a.old, a.new, 1)
			if text == string(s.manifest) {
				t.Fatalf("%q is not in the manifest", a.old)
			}
			s.manifest = []byte(text)
			s.resign(t, s.root)
			if _, err := s.verify(); err == nil || !strings.Contains(err.Error(), a.text) && !strings.Contains(err.Error(), "one encoding") {
				t.Errorf("want %q, got %v", a.text, err)
			}
		})
	}
}

func TestFileAttacks(t *testing.T) {
	const text = "FLATCAR_VERSION=1.2.3\n"
	f := File{Name: "version.txt", Size: int64(len(text)), SHA256: sumOf(text)}
	for name, got := range map[string]string{
		"truncated": text[:5], "oversize": text + "x", "swapped-payload": strings.ToLower(text), "empty": "",
	} {
		t.Run(name, func(t *testing.T) {
			if err := f.CheckFile(strings.NewReader(got)); err == nil {
				t.Error("it was accepted")
			}
		})
	}
	if err := f.CheckFile(strings.NewReader(text)); err != nil {
		t.Error(err)
	}
}

func TestEndlessFileIsNotReadOn(t *testing.T) {
	f := File{Name: "a", Size: 10, SHA256: digest("0")}
	if err := f.CheckFile(zeros{}); err == nil {
		t.Error("it was accepted")
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// Mixing releases: the manifest of one with the payload of another.
func TestMixedVersions(t *testing.T) {
	a, b := sample(), sample()
	b.Version = "4.10.2"
	b.Payloads[0].SHA256 = sumOf("payload of b")
	b.Payloads[0].Size = 12
	if err := b.Payloads[0].CheckFile(strings.NewReader("payload of b")); err != nil {
		t.Fatal(err)
	}
	if err := a.Payloads[0].CheckFile(strings.NewReader("payload of b")); err == nil {
		t.Error("a payload of another release was accepted")
	}
	if p, ok := a.Find(Delta, digest("9")); ok {
		t.Errorf("found %v for a machine with another root hash", p)
	}
}

func TestRotation(t *testing.T) {
	s := sign(t, sample())
	next := keyOf(t, "n")
	s.resign(t, s.root, next)
	if _, err := s.verify(); err != nil {
		t.Errorf("a machine with the old root key: %v", err)
	}
	public, err := next.MarshalPublic()
	if err != nil {
		t.Fatal(err)
	}
	if s.trust, err = ParseTrust(append([]byte("the key of 2027\n"), public...)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.verify(); err != nil {
		t.Errorf("a machine with the new root key: %v", err)
	}
}

func sumOf(s string) string {
	sum := sha256Sum(s)
	return hex.EncodeToString(sum[:])
}
