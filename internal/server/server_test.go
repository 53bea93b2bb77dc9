package server

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wellcar.dev/internal/format/omaha"
	"wellcar.dev/internal/release"
)

func app(version string, change func(*omaha.App)) omaha.App {
	a := omaha.App{ID: omaha.AppID, Version: version, Track: "stable", Board: "amd64-usr", MachineID: "m1", UpdateCheck: &omaha.UpdateCheck{}, Ping: &omaha.Ping{Active: "1"}}
	if change != nil {
		change(&a)
	}
	return a
}

func TestDecide(t *testing.T) {
	r := NewRelease("1.2.0", "amd64-usr", "manifest.json", []byte("x"))
	for _, c := range []struct {
		app         omaha.App
		check, line string
	}{
		{app("1.1.0", nil), omaha.OK, "m1 runs 1.1.0, follows stable; asks: offered 1.2.0"},
		{app("1.2.0", nil), omaha.NoUpdate, "m1 runs 1.2.0, follows stable; asks: 1.2.0 is not above it"},
		{app("1.10.0", nil), omaha.NoUpdate, ""},
		{app("0.0.0", nil), omaha.OK, ""},
		{app("1.0.0", func(a *omaha.App) { a.Board = "arm64-usr" }), omaha.NoUpdate, ""},
		{app("1.0.0", func(a *omaha.App) { a.ID = strings.Trim(a.ID, "{}") }), omaha.OK, ""},
		{app("1.0.0", func(a *omaha.App) { a.ID = "{1}" }), omaha.Internal, ""},
		{app("1.0.0", func(a *omaha.App) { a.UpdateCheck = nil; a.MachineAlias = "web-1" }), omaha.OK, "web-1 runs 1.0.0, follows stable; is there"},
		{app("1.0.0", func(a *omaha.App) {
			a.UpdateCheck, a.Ping, a.Events = nil, nil, []omaha.Event{omaha.NewEvent(omaha.UpdateComplete, omaha.ResultError, omaha.CodeRollback|omaha.FlagOwnServer)}
		}), omaha.OK, "m1 runs 1.0.0, follows stable; went back to the old version"},
		{app("1.2.0", func(a *omaha.App) { a.Events = []omaha.Event{omaha.Rebooted("1.1.0")} }), omaha.NoUpdate, "m1 runs 1.2.0, follows stable; came from 1.1.0; asks: 1.2.0 is not above it"},
	} {
		v := Decide(c.app, r)
		if v.Check != c.check {
			t.Errorf("%+v: %+v", c.app, v)
		}
		if line := Describe(c.app, v); c.line != "" && line != c.line {
			t.Errorf("%q, want %q", line, c.line)
		}
	}
}

func folder(t *testing.T) (dir string, handler Handler) {
	dir = t.TempDir()
	digest := strings.Repeat("ab", 32)
	m := release.Manifest{Schema: release.Schema, Product: release.Product, Board: "amd64-usr", Channel: "stable", Version: "1.2.0", Minimum: "1.0.0",
		Expires: release.FormatTime(time.Unix(2e9, 0)), RootHash: digest, Salt: digest, UsrSize: 4096, TreeSize: 8192, UsrHash: digest, UKISize: 1, UKIHash: digest,
		Payloads: []release.Payload{{Kind: release.Full, File: release.File{Name: "full.payload", Size: 10, SHA256: digest}, HeadSize: 4, HeadHash: digest}}}
	data, err := release.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{release.ManifestFile: data, release.SignatureFile: []byte("sig"), "full.payload": []byte("0123456789"), "private": []byte("key")} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir, Handler{Dir: dir, Logf: t.Logf}
}

func post(t *testing.T, url string, body []byte) (int, []byte) {
	resp, err := http.Post(url, "text/xml", strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, data
}

func TestUpdate(t *testing.T) {
	dir, h := folder(t)
	server := httptest.NewServer(h)
	defer server.Close()
	body, err := omaha.Request{Protocol: omaha.Protocol, Apps: []omaha.App{app("1.0.0", nil)}}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/v1/update", "/v1/update/"} {
		code, data := post(t, server.URL+path, body)
		r, err := omaha.DecodeResponse(data)
		if err != nil || code != http.StatusOK {
			t.Fatalf("%d, %s, %v", code, data, err)
		}
		a, _ := r.App(omaha.AppID)
		if a.UpdateCheck.URLs.URL[0].CodeBase != server.URL+"/release/" || a.UpdateCheck.Manifests[0].Version != "1.2.0" {
			t.Errorf("%s", data)
		}
	}
	for _, bad := range [][]byte{nil, []byte("<request"), make([]byte, omaha.MaxRequest+1)} {
		if code, _ := post(t, server.URL+UpdatePath, bad); code != http.StatusBadRequest {
			t.Errorf("%d bytes: status %d", len(bad), code)
		}
	}
	if resp, err := http.Get(server.URL + UpdatePath); err != nil || resp.StatusCode != http.StatusBadRequest {
		t.Errorf("%v, %v", resp, err)
	}
	if err := os.Remove(filepath.Join(dir, release.ManifestFile)); err != nil {
		t.Fatal(err)
	}
	if code, _ := post(t, server.URL+UpdatePath, body); code != http.StatusInternalServerError {
		t.Errorf("without a release: status %d", code)
	}
}

func TestFiles(t *testing.T) {
	_, h := folder(t)
	server := httptest.NewServer(h)
	defer server.Close()
	for path, want := range map[string]string{
		"/release/full.payload": "206 3456", "/release/manifest.json.sig": "206 ", "/release/private": "404", "/release/../private": "404",
		"/release/": "404", "/": "404", "/release/%2e%2e%2fprivate": "404",
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Range", "bytes=3-6")
		if strings.HasSuffix(path, ".sig") {
			req.Header.Set("Range", "bytes=0-")
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		data, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if got := fmt.Sprintf("%d %s", resp.StatusCode, data); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

// TestTakeover offers a payload for other systems first, and the manifest
// behind it.
func TestTakeover(t *testing.T) {
	r := NewRelease("1.2.0", "amd64-usr", release.ManifestFile, []byte("x"))
	r.Takeover = &omaha.Package{Name: "flatcar_production_update.gz", SHA256: strings.Repeat("00", 32), Size: 5, IsRequired: "true"}
	resp, _ := Answer(omaha.Request{Apps: []omaha.App{app("0.0.0", nil)}}, r, "http://a/")
	m := resp.Apps[0].UpdateCheck.Manifests[0]
	if len(m.Packages) != 2 || m.Packages[0].Name != r.Takeover.Name || m.Packages[1].Name != release.ManifestFile || m.Packages[1].SHA256 == "" {
		t.Errorf("%+v", m.Packages)
	}
	if m.Actions[0].SHA256 != "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=" {
		t.Errorf("the digest is %s", m.Actions[0].SHA256)
	}
	h := Handler{Dir: t.TempDir()}
	listed := release.Manifest{Files: []release.File{{Name: r.Takeover.Name, Size: 3, SHA256: strings.Repeat("ab", 32)}}}
	if _, err := h.takeover(listed); err == nil {
		t.Error("there are no digests")
	}
	text := "# MD5 HASH\n00  x\n# SHA1 HASH\na9993e364706816aba3e25717850c26c9cd0d89d  x\n"
	if err := os.WriteFile(filepath.Join(h.Dir, r.Takeover.Name+".DIGESTS"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if p, err := h.takeover(listed); err != nil || p.Hash != "qZk+NkcGgWq6PiVxeFDCbJzQ2J0=" {
		t.Errorf("%+v, %v", p, err)
	}
}
