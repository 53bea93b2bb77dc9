package archive

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/lock"
)

func TestReleaseRefusals(t *testing.T) {
	index := []byte("index")
	text := releaseText("trixie", "main/binary-amd64/Packages.gz", index)
	without := func(field string) string {
		lines := strings.SplitAfter(text, "\n")
		for i, line := range lines {
			if strings.HasPrefix(line, field) {
				lines[i] = ""
			}
		}
		return strings.Join(lines, "")
	}
	tests := map[string]struct {
		data func(f *fakeArchive) []byte
		now  time.Time
		want []string
	}{
		"unsigned":  {func(*fakeArchive) []byte { return []byte(text) }, today, []string{"it is not signed"}},
		"empty":     {func(*fakeArchive) []byte { return nil }, today, []string{"it is not signed"}},
		"wrong key": {func(f *fakeArchive) []byte { return sign(f.t, text, newKey(f.t)) }, today, []string{"it is signed by unknown keys only"}},
		"tampered": {func(f *fakeArchive) []byte {
			return bytes.Replace(sign(f.t, text, f.key), []byte(hashOf(index)), []byte(hashOf(nil)), 1)
		}, today, []string{"its signature by key", "is not valid"}},
		"no signature in the armour": {func(f *fakeArchive) []byte {
			data := sign(f.t, text, f.key)
			at := bytes.Index(data, []byte("-----BEGIN PGP SIGNATURE"))
			return append(data[:at:at], "-----BEGIN PGP SIGNATURE-----\n\n-----END PGP SIGNATURE-----\n"...)
		}, today, []string{"sign"}},
		"expired":       {func(f *fakeArchive) []byte { return sign(f.t, text, f.key) }, today.AddDate(0, 0, 8), []string{"it expired at Thu, 22 Jan 2026"}},
		"of the future": {func(f *fakeArchive) []byte { return sign(f.t, text, f.key) }, today.AddDate(0, -1, 0), []string{"is not valid at 2025-12-15"}},
		"dated ahead":   {func(f *fakeArchive) []byte { return sign(f.t, text, f.key) }, today.Add(-time.Hour - 2*time.Hour + time.Minute), []string{"is not valid at 2026-01-15T09:01:00Z"}},
		"wrong suite": {func(f *fakeArchive) []byte {
			return sign(f.t, strings.Replace(text, "Codename: trixie", "Codename: sid", 1), f.key)
		}, today, []string{`codename "sid"`, "not for trixie"}},
		"wrong machine": {func(f *fakeArchive) []byte { return sign(f.t, strings.Replace(text, "all amd64", "all", 1), f.key) }, today, []string{"no packages for amd64"}},
		"no date":       {func(f *fakeArchive) []byte { return sign(f.t, without("Date"), f.key) }, today, []string{"reading its Date"}},
		"bad hash":      {func(f *fakeArchive) []byte { return sign(f.t, strings.Replace(text, hashOf(index), "abc", 1), f.key) }, today, []string{"list of SHA256"}},
		"no index":      {func(f *fakeArchive) []byte { return sign(f.t, strings.ReplaceAll(text, "main/", "contrib/"), f.key) }, today, []string{"lists no main/binary-amd64/Packages.xz"}},
		"text before it": {func(f *fakeArchive) []byte {
			return append([]byte("Codename: trixie\n\n"), sign(f.t, strings.Replace(text, "Codename: trixie", "Codename: sid", 1), f.key)...)
		}, today, []string{`codename "sid"`}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.put("/debian/dists/trixie/InRelease", tt.data(f))
			c := f.cache(t)
			c.Client.Now = func() time.Time { return tt.now }
			_, _, err := c.LoadIndex(testContext(t), Suites("trixie")[:1], "amd64", FetchOptions{})
			wantError(t, err, append(tt.want, "trixie")...)
			if name != "no index" {
				wantError(t, err, f.server.URL+"/debian/dists/trixie/InRelease")
			}
		})
	}
}

func TestReleaseWithoutLimit(t *testing.T) {
	f := newFake(t)
	text := strings.Replace(releaseText("trixie", "main/binary-amd64/Packages.gz", nil), "Valid-Until: Thu, 22 Jan 2026 09:00:00 UTC\n", "", 1)
	keys, err := keyring(f.keys())
	if err != nil {
		t.Fatal(err)
	}
	data := sign(t, text, f.key)
	got, err := readRelease(data, keys, Main, "trixie", "amd64", today.AddDate(2, 0, 0))
	if err != nil {
		t.Fatal(err)
	}
	want := lock.Suite{Archive: Main, Name: "trixie", Date: "2026-01-15T09:00:00Z", SHA256: hashOf(data)}
	if diff := cmp.Diff(want, got.suite); diff != "" {
		t.Error(diff)
	}
}

// One known signer among unknown ones is enough, in any order.
func TestReleaseOfManySigners(t *testing.T) {
	f := newFake(t)
	text := releaseText("trixie", "main/binary-amd64/Packages.gz", nil)
	trusted, err := keyring(f.keys())
	if err != nil {
		t.Fatal(err)
	}
	data := signByMany(t, text, newKey(t), f.key, newKey(t))
	if _, err := readRelease(data, trusted, Main, "trixie", "amd64", today); err != nil {
		t.Error(err)
	}
}

func TestEmbeddedKeys(t *testing.T) {
	keys, err := keyring(nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, k := range keys {
		got = append(got, fmt.Sprintf("%X", k.PrimaryKey.Fingerprint))
	}
	want := []string{
		"B8B80B5B623EAB6AD8775C45B7C5D7D6350947F8", "05AB90340C0C5E797F44A8C8254CF3B5AEC0A8F0", "4D64FEC119C2029067D6E791F8D2585B8783D481",
		"04B54C3CDCA79751B16BC6B5225629DF75B188BD", "5E04A1E3223A19A20706E20F9904613D4CCE68C6", "41587F7DB8C774BCCF131416762F67A0B2C39DE4",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
