package fetch

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/provision"
)

// get fetches into memory.
func get(c provision.Fetcher, r provision.Request) (string, error) {
	var b bytes.Buffer
	err := c.Fetch(context.Background(), r, &b)
	return b.String(), err
}

func want(t *testing.T, c provision.Fetcher, r provision.Request, text string) {
	t.Helper()
	if got, err := get(c, r); err != nil || got != text {
		t.Errorf("got %q, %v, want %q", got, err, text)
	}
}

// refused fetches what must fail with an error that contains a text.
func refused(t *testing.T, c provision.Fetcher, r provision.Request, text string) error {
	t.Helper()
	_, err := get(c, r)
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("got error %v, want %q", err, text)
	}
	return err
}

func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func newClient(t *testing.T, opt Options) *Client {
	opt.Logf = t.Logf
	c := New(opt)
	t.Cleanup(c.Close)
	return c
}

func configure(t *testing.T, c provision.Configurable, s provision.FetchSettings) *Client {
	t.Helper()
	out, err := c.Configure(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(out.(*Client).Close)
	return out.(*Client)
}

func TestHeaders(t *testing.T) {
	var got []http.Header
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Header)
		if r.URL.Path == "/from" {
			http.Redirect(w, r, "/to", http.StatusFound)
			return
		}
		io.WriteString(w, "x")
	})
	c := newClient(t, Options{})
	want(t, c, provision.Request{URL: s.URL + "/from", Headers: []provision.Header{
		{Name: "accept", Value: "text/plain"}, {Name: "X-Token", Value: "1"}, {Name: "x-token", Value: "2"}}}, "x")
	always := http.Header{"User-Agent": {userAgent}, "Accept-Encoding": {"identity"}}
	first, second := always.Clone(), always.Clone()
	first["Accept"], first["X-Token"] = []string{"text/plain"}, []string{"1", "2"}
	second["Accept"] = []string{"application/vnd.coreos.ignition+json;version=3.6.0, */*;q=0.1"}
	if diff := cmp.Diff([]http.Header{first, second}, got); diff != "" {
		t.Error(diff)
	}
}

func TestAnswers(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/empty":
			w.WriteHeader(http.StatusNoContent)
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		case "/gopher":
			http.Redirect(w, r, "gopher://h/", http.StatusFound)
		case "/403":
			w.WriteHeader(http.StatusForbidden)
		case "/206":
			w.WriteHeader(http.StatusPartialContent)
		default:
			http.NotFound(w, r)
		}
	})
	c := newClient(t, Options{})
	at := func(p string) provision.Request { return provision.Request{URL: s.URL + p} }
	want(t, c, at("/empty"), "")
	want(t, c, provision.Request{URL: s.URL + "/empty", Compression: "gzip"}, "")
	err := refused(t, c, at("/none"), "fetching "+s.URL+"/none: the server answers 404 Not Found")
	if !errors.Is(err, provision.ErrNotFound) {
		t.Error("404 is not ErrNotFound")
	}
	if err := refused(t, c, at("/403"), "the server answers 403 Forbidden"); errors.Is(err, provision.ErrNotFound) {
		t.Error("403 is ErrNotFound")
	}
	refused(t, c, at("/206"), "the server answers 206")
	refused(t, c, at("/loop"), "redirects more than 10 times")
	refused(t, c, at("/gopher"), "redirects to gopher://h/, which is not HTTP")
	refused(t, c, provision.Request{URL: "gopher://h/"}, "fetching gopher://h/: the scheme gopher is not known")
	refused(t, c, provision.Request{URL: "http://user:secret@" + s.Listener.Addr().String() + "/none"}, "fetching http://user:xxxxx@")
}

func packed(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	io.WriteString(z, text)
	z.Close()
	return b.String()
}

func TestContent(t *testing.T) {
	bodies := map[string]string{"/plain": "text", "/gz": packed("text"), "/cutgz": packed("text")[:12]}
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip") // a lie or not, it changes nothing
		io.WriteString(w, bodies[r.URL.Path])
	})
	c := newClient(t, Options{})
	sum256, sum512 := fmt.Sprintf("sha256-%x", sha256.Sum256([]byte("text"))), fmt.Sprintf("sha512-%x", sha512.Sum512([]byte("text")))
	want(t, c, provision.Request{URL: s.URL + "/plain", Hash: sum256}, "text")
	want(t, c, provision.Request{URL: s.URL + "/plain", Hash: strings.ToUpper(sum512[:0]) + sum512}, "text")
	want(t, c, provision.Request{URL: s.URL + "/gz", Hash: sum512, Compression: "gzip"}, "text")
	err := refused(t, c, provision.Request{URL: s.URL + "/gz", Hash: sum256}, "the content has another sha256: ")
	if wrong := (*provision.HashError)(nil); !errors.As(err, &wrong) {
		t.Error("not a HashError")
	}
	refused(t, c, provision.Request{URL: s.URL + "/plain", Compression: "gzip"}, "the content is not gzip")
	refused(t, c, provision.Request{URL: s.URL + "/cutgz", Compression: "gzip"}, "the gzip content is damaged")
	want(t, c, provision.Request{URL: "data:;base64," + "dGV4dA==", Hash: sum256}, "text")
	want(t, c, provision.Request{}, "")
	refused(t, c, provision.Request{URL: "data:;base64,***"}, "fetching data:;base64,***: ")
}

func TestOffline(t *testing.T) {
	c := newClient(t, Options{Offline: true, OEM: fstest.MapFS{"a/b": {Data: []byte("oem")}}})
	want(t, c, provision.Request{URL: "data:,x"}, "x")
	want(t, c, provision.Request{URL: "oem:///a/b"}, "oem")
	refused(t, c, provision.Request{URL: "oem://a/b"}, "the path is not absolute")
	if err := refused(t, c, provision.Request{URL: "oem:///c"}, "not found on the OEM partition"); !errors.Is(err, provision.ErrNotFound) {
		t.Error("not ErrNotFound")
	}
	for _, u := range []string{"http://h/", "https://h/", "tftp://h/f", "s3://b/k", "arn:aws:s3:::b/k", "gs://b/k"} {
		if _, err := get(c, provision.Request{URL: u}); !errors.Is(err, provision.ErrNeedsNetwork) {
			t.Errorf("%s: %v", u, err)
		}
	}
	refused(t, newClient(t, Options{}), provision.Request{URL: "oem:///c"}, "there is no OEM partition")
}

func TestAuthorities(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "safe") }))
	s.Config.ErrorLog = nil
	defer s.Close()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	c := newClient(t, Options{})
	trusting := configure(t, c, provision.FetchSettings{Authorities: [][]byte{append(ca, "\n\n"...)}})
	want(t, trusting, provision.Request{URL: s.URL}, "safe")
	want(t, configure(t, trusting, provision.FetchSettings{}), provision.Request{URL: s.URL}, "safe")
	for bad, text := range map[string]string{"junk": "not PEM", string(ca) + "junk": "not PEM",
		"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n": "reading certificate 1"} {
		if _, err := c.Configure(provision.FetchSettings{Authorities: [][]byte{[]byte(bad)}}); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestProxy(t *testing.T) {
	var asked []string
	proxy := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.RequestURI)
		io.WriteString(w, "by proxy")
	})
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1/")
	direct := serve(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "direct") })
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		if address == "near.example:80" {
			address = direct.Listener.Addr().String()
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	c := newClient(t, Options{Dial: dial})
	want(t, c, provision.Request{URL: direct.URL}, "direct")
	c = configure(t, c, provision.FetchSettings{HTTPProxy: &proxy.URL, HTTPSProxy: &proxy.URL, NoProxy: []string{"near.example", "10.0.0.0/8"}})
	want(t, c, provision.Request{URL: direct.URL}, "direct")
	want(t, c, provision.Request{URL: "http://near.example/"}, "direct")
	want(t, c, provision.Request{URL: "http://far.example/x"}, "by proxy")
	if diff := cmp.Diff([]string{"GET http://far.example/x"}, asked); diff != "" {
		t.Error(diff)
	}
	secure, _ := url.Parse("https://far.example/")
	if u, err := c.proxy.function()(&http.Request{URL: secure}); err != nil || u.String() != proxy.URL {
		t.Errorf("https goes by %v, %v", u, err)
	}
}

func TestDo(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Method+" "+r.Header.Get("X-Ttl")) })
	var b bytes.Buffer
	err := newClient(t, Options{}).Do(context.Background(), Call{Method: "PUT", URL: s.URL, Headers: []provision.Header{{Name: "X-Ttl", Value: "5"}}}, &b)
	if err != nil || b.String() != "PUT 5" {
		t.Error(b.String(), err)
	}
	if err := newClient(t, Options{Offline: true}).Do(context.Background(), Call{URL: s.URL}, &b); !errors.Is(err, provision.ErrNeedsNetwork) {
		t.Error(err)
	}
}

func FuzzParseBundle(f *testing.F) {
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	f.Add([]byte("\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if certs, err := parseBundle(data); err == nil && len(certs) == 0 && len(bytes.TrimSpace(data)) > 0 {
			t.Error("nothing read, and no error")
		}
	})
}
