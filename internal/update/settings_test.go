//go:build linux

package update

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/format/omaha"
)

func TestParseSettings(t *testing.T) {
	got := ParseSettings("# a comment\nGROUP=stable\n SERVER = \"http://a/#b\" # why\nA='x y' # z\nB=plain # tail\nexport C=1\nC=2\nEMPTY=\nnot a setting\n=x\nD=\"open\nE=a#b\n")
	want := map[string]string{"GROUP": "stable", "SERVER": "http://a/#b", "A": "x y", "B": "plain", "C": "2", "EMPTY": "", "D": "\"open", "E": "a#b"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestLoadSettings(t *testing.T) {
	root := t.TempDir()
	write(t, root, SettingsFiles[1], []byte("SERVER=disabled\nGROUP=stable\n"))
	write(t, root, SettingsFiles[2], []byte("FLATCAR_RELEASE_VERSION=1.0.0\nGROUP=never\n"))
	s, err := LoadSettings(root)
	if err != nil || s.Group() != "stable" || s.Get("FLATCAR_RELEASE_VERSION") != "1.0.0" {
		t.Errorf("%+v, %v", s, err)
	}
	if _, ok := s.Server(); ok {
		t.Error("disabled is a server")
	}
	write(t, root, SettingsFiles[0], []byte("GROUP=beta\nSERVER=https://a/\nFLATCAR_RELEASE_VERSION=0.0.0\nDOWNLOAD_MIRROR=http://m/, http://n\nDOWNLOAD_RATE=2M\n"))
	if s, err = LoadSettings(root); err != nil || s.Group() != "beta" || s.Get("FLATCAR_RELEASE_VERSION") != "0.0.0" || s.Get("DOWNLOAD_RATE") != "2M" {
		t.Errorf("%+v, %v", s, err)
	}
	if diff := cmp.Diff([]string{"http://m/", "http://n"}, s.Mirrors()); diff != "" {
		t.Error(diff)
	}
	if url, ok := s.Server(); !ok || url != "https://a/" {
		t.Error(url)
	}
}

// TestRate limits downloads, or tells the journal why it does not.
func TestRate(t *testing.T) {
	for text, c := range map[string]struct {
		rate int64
		told bool
	}{
		"": {0, false}, "0": {0, false}, "5": {5, false}, "1K": {1024, false}, "500k": {500 << 10, false}, "2m": {2 << 20, false}, "1G": {1 << 30, false},
		"fast": {0, true}, "-1": {0, true}, "2T": {0, true}, "2KK": {0, true}, "K": {0, true}, "500kb": {0, true}, "4294967296": {0, true},
	} {
		var log []string
		r := NewRemote(nil, Settings{[]map[string]string{{"DOWNLOAD_RATE": text}}}, func(format string, args ...any) { log = append(log, fmt.Sprintf(format, args...)) })
		said := strings.Join(log, "\n")
		if r.Rate != c.rate || strings.Contains(said, "DOWNLOAD_RATE="+text+" ") != c.told || len(log) > 1 {
			t.Errorf("%q: %d, told %q", text, r.Rate, said)
		}
	}
}

func TestTiming(t *testing.T) {
	minute := time.Minute
	for r, want := range map[float64]time.Duration{0: 2 * minute, 0.5: 7 * minute, 1: 12 * minute} {
		if got := FirstWait(r); got != want {
			t.Errorf("first wait at %v: %s", r, got)
		}
	}
	var p Poll
	for _, c := range []struct {
		status int
		asked  string
		r      float64
		want   time.Duration
	}{
		{200, "", 0, 40 * minute}, {200, "", 1, 50 * minute}, {503, "", 0.5, 90 * minute}, {500, "", 0, 90 * minute}, {503, "", 0.5, 240 * minute}, {503, "", 1, 360 * minute},
		{200, "", 0.5, 45 * minute}, {200, "7200", 0.5, 120 * minute}, {200, "60", 0.5, 45 * minute}, {200, "99999", 0.5, 240 * minute}, {0, "soon", 0.5, 45 * minute}, {404, "", 0.5, 45 * minute},
	} {
		if got := p.Next(c.status, c.asked, c.r); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
	day := 24 * time.Hour
	for n, want := range map[int]time.Duration{0: 0, 1: day, 2: 2 * day, 4: 8 * day, 5: 16 * day, 50: 16 * day} {
		if got := Backoff(n, 0.5); got != want {
			t.Errorf("after %d attempts: %s", n, got)
		}
	}
}

func TestLastEvent(t *testing.T) {
	for _, c := range []struct {
		previous string
		ok       bool
		want     string
		back     bool
	}{
		{"", false, `eventtype="3" eventresult="2" previousversion="0.0.0.0"`, false}, {"", true, `eventtype="3" eventresult="2" previousversion=""`, false},
		{"0.9.0", true, `eventtype="3" eventresult="2" previousversion="0.9.0"`, false}, {"1.0.0", true, `eventtype="3" eventresult="0" errorcode="268435500"`, true},
	} {
		e, back := LastEvent("1.0.0", c.previous, c.ok, true)
		data, err := (Identity{Version: "1.0.0"}).CheckRequest(omaha.Scheduler, e).Encode()
		if err != nil || back != c.back || !strings.Contains(string(data), c.want) {
			t.Errorf("%+v: %s, %v", c, data, err)
		}
	}
}

// TestMirrorAndPassword: a mirror is asked first, and a password goes nowhere
// in the clear.
func TestMirrorAndPassword(t *testing.T) {
	one, two := makeImage(t, "1.0.0"), makeImage(t, "1.1.0")
	p := newPublisher(t)
	dir := p.Publish(t, two)
	w, mirror := newWorld(t, dir), newWorld(t, dir)
	var auth []string
	asked := 0
	mirror.spoil = func(_ string, out http.ResponseWriter) bool {
		asked++
		if asked == 4 { // it breaks down within the update
			out.WriteHeader(http.StatusNotFound)
			return true
		}
		return false
	}
	inner := mirror.Config.Handler
	mirror.Config.Handler = http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		auth = append(auth, r.Header.Get("Authorization"))
		inner.ServeHTTP(out, r)
	})
	b := newBox(t, one, p.Trust)
	write(t, b.root, "etc/flatcar/update.conf", []byte("SERVER="+w.URL+"/v1/update/\nDOWNLOAD_MIRROR="+mirror.URL+"/release\nDOWNLOAD_USER=u\nDOWNLOAD_PASSWORD=p\nDOWNLOAD_RATE=10M\n"))
	s, states := b.service()
	if seen := b.attempt(s, states); seen[len(seen)-1] != "UPDATED_NEED_REBOOT" || asked < 4 {
		t.Errorf("%v after %d questions to the mirror: %s", seen, asked, s.LastError())
	}
	if strings.Join(auth, "") != "" {
		t.Errorf("sent over HTTP: %q", auth)
	}
	b.sameSlot("dev/vda4", two)
}

func TestPasswordOverHTTPS(t *testing.T) {
	got := ""
	client := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		got = r.Header.Get("Authorization")
		return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader([]byte("x")))}, nil
	})}
	r := NewRemote(client, Settings{[]map[string]string{{"DOWNLOAD_USER": "u", "DOWNLOAD_PASSWORD": "p"}}}, t.Logf)
	if data, err := r.small(t.Context(), "https://host/file", 10); err != nil || string(data) != "x" || got != "Basic dTpw" {
		t.Errorf("%s, %v, %q", data, err, got)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
