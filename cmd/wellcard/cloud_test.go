//go:build linux

package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"wellcar.dev/internal/provision"
	"wellcar.dev/internal/provision/platform"
)

func TestGetter(t *testing.T) {
	var ports []int
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, port, _ := strings.Cut(r.RemoteAddr, ":")
		n, _ := strconv.Atoi(port)
		ports = append(ports, n)
		switch {
		case r.URL.Path == "/none":
			w.WriteHeader(http.StatusNotFound)
		case r.URL.Path == "/busy" && len(ports) == 2:
			w.WriteHeader(http.StatusTooManyRequests)
		default:
			io.WriteString(w, r.Method+" "+r.Header.Get("X-Token"))
		}
	}))
	defer server.Close()
	get := getter("aws", 10*time.Second, t.Logf)
	if _, err := get(t.Context(), platform.Call{URL: server.URL + "/none"}); !errors.Is(err, provision.ErrNotFound) {
		t.Error(err)
	}
	data, err := get(t.Context(), platform.Call{Method: "PUT", URL: server.URL + "/busy", Retry: []int{429}, Headers: []provision.Header{{Name: "X-Token", Value: "t"}}})
	if err != nil || string(data) != "PUT t" {
		t.Errorf("%q %v", data, err)
	}
	if os.Getuid() != 0 {
		t.Skip("low ports are for root")
	}
	ports = nil
	if _, err := get(t.Context(), platform.Call{URL: server.URL, LowPort: true}); err != nil || len(ports) != 1 || ports[0] > lowPorts {
		t.Errorf("from port %v, %v", ports, err)
	}
}

func TestReadOn(t *testing.T) {
	f, err := os.Open("../../internal/format/iso9660/testdata/both.iso.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var image bytes.Buffer
	if _, err := io.Copy(&image, z); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "drive")
	if err := os.WriteFile(name, image.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	if data, err := readOn(name, "iso9660", "/openstack/latest/user_data"); err != nil || !strings.Contains(string(data), "3.4.0") {
		t.Errorf("%q %v", data, err)
	}
	if _, err := readOn(name, "iso9660", "/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
