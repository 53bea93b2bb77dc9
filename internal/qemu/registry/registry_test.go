package registry

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"golang.org/x/sync/errgroup"

	"wellcar.dev/internal/format/fstree"
)

func testTree(t *testing.T) *fstree.Tree {
	t.Helper()
	tree := fstree.New()
	for _, n := range []fstree.Node{
		{Path: "bin/sh", Kind: fstree.File, Mode: 0o4755, UID: 0, GID: 7, Blob: fstree.BytesBlob([]byte("shell"))},
		{Path: "bin/tool", Kind: fstree.File, Mode: 0o755, Blob: fstree.BytesBlob([]byte("shell")), LinkTo: "bin/sh"},
		{Path: "a-first", Kind: fstree.File, Mode: 0o644, Blob: fstree.BytesBlob([]byte("shell")), LinkTo: "bin/sh"},
		{Path: "etc/link", Kind: fstree.Symlink, Mode: 0o777, Target: "../bin/sh"},
		{Path: "dev/null", Kind: fstree.CharDevice, Mode: 0o666, Major: 1, Minor: 3},
		{Path: "dev/disk", Kind: fstree.BlockDevice, Mode: 0o660, Major: 8},
		{Path: "run/pipe", Kind: fstree.Fifo, Mode: 0o600},
		{Path: "empty", Kind: fstree.File, Mode: 0o600, Xattrs: map[string][]byte{"security.capability": {1, 0, 0, 2}, "user.a": []byte("b")}},
	} {
		if err := tree.Put(n); err != nil {
			t.Fatal(err)
		}
	}
	return tree
}

func TestImageFromTree(t *testing.T) {
	cfg := Config{Cmd: []string{"/bin/sh"}, Env: []string{"A=b"}, Ports: []int{80}, User: "nobody"}
	image, err := ImageFromTree(testTree(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(image, validate.Fast); err != nil {
		t.Error(err)
	}
	again, err := ImageFromTree(testTree(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	a, _ := image.Digest()
	b, _ := again.Digest()
	if a != b {
		t.Errorf("two images of one tree: %s and %s", a, b)
	}
	file, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if file.OS != "linux" || file.Architecture != "amd64" || file.Config.Cmd[0] != "/bin/sh" || len(file.Config.ExposedPorts) != 1 {
		t.Errorf("config %+v", file)
	}
}

func TestWriteTar(t *testing.T) {
	var buf bytes.Buffer
	if err := WriteTar(&buf, testTree(t)); err != nil {
		t.Fatal(err)
	}
	var got []string
	for r := tar.NewReader(&buf); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		data, _ := io.ReadAll(r)
		got = append(got, fmt.Sprintf("%s %c %o %d:%d %q %s %d,%d %d", h.Name, h.Typeflag, h.Mode, h.Uid, h.Gid, data, h.Linkname, h.Devmajor, h.Devminor, len(h.PAXRecords)))
	}
	want := []string{
		`a-first 0 644 0:0 "shell"  0,0 0`,
		`bin/ 5 755 0:0 ""  0,0 0`,
		`bin/sh 0 4755 0:7 "shell"  0,0 0`,
		`bin/tool 1 755 0:0 "" bin/sh 0,0 0`,
		`dev/ 5 755 0:0 ""  0,0 0`,
		`dev/disk 4 660 0:0 ""  8,0 0`,
		`dev/null 3 666 0:0 ""  1,3 0`,
		`empty 0 600 0:0 ""  0,0 2`,
		`etc/ 5 755 0:0 ""  0,0 0`,
		`etc/link 2 777 0:0 "" ../bin/sh 0,0 0`,
		`run/ 5 755 0:0 ""  0,0 0`,
		`run/pipe 6 600 0:0 ""  0,0 0`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("tar (-want +got):\n%s", diff)
	}
}

func get(t *testing.T, url string) (*http.Response, []byte) {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r, body
}

func TestServe(t *testing.T) {
	image, err := ImageFromTree(testTree(t), Config{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := Serve(t.Context(), map[string]v1.Image{"team/hello:1": image, "plain": image})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	base := "http://" + s.Addr + "/v2/"
	digest, _ := image.Digest()
	for path, status := range map[string]int{
		"": 200, "team/hello/manifests/1": 200, "plain/manifests/latest": 200, "plain/tags/list": 200,
		"team/hello/manifests/" + digest.String(): 200,
		"team/hello/manifests/2":                  404, "x/manifests/latest": 404, "x/tags/list": 404,
		"plain/blobs/sha256:00": 404, "plain": 404, "../x": 404,
	} {
		if r, _ := get(t, base+path); r.StatusCode != status {
			t.Errorf("GET %s: %s, want %d", path, r.Status, status)
		}
	}
	r, err := http.Post(base+"plain/blobs/uploads/", "", nil)
	if err != nil || r.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %v %v", r, err)
	}
}

// Every blob that a manifest names is there with the size and digest it
// names, also when many ask at once.
func TestServeBlobsConcurrently(t *testing.T) {
	image, err := ImageFromTree(testTree(t), Config{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := Serve(t.Context(), map[string]v1.Image{"hello": image})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	base := "http://" + s.Addr + "/v2/hello/"
	r, body := get(t, base+"manifests/latest")
	var m v1.Manifest
	if err := json.Unmarshal(body, &m); err != nil || r.Header.Get("Content-Type") != string(m.MediaType) {
		t.Fatalf("manifest of type %s: %v", r.Header.Get("Content-Type"), err)
	}
	var g errgroup.Group
	for range 8 {
		for _, d := range append(m.Layers, m.Config) {
			g.Go(func() error {
				r, err := http.Get(base + "blobs/" + d.Digest.String())
				if err != nil {
					return err
				}
				defer r.Body.Close()
				sum, n, err := v1.SHA256(r.Body)
				if err == nil && (sum != d.Digest || n != d.Size) {
					err = fmt.Errorf("blob %s of %d bytes came as %s, %d bytes", d.Digest, d.Size, sum, n)
				}
				return err
			})
		}
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	head, err := http.Head(base + "blobs/" + m.Layers[0].Digest.String())
	if err != nil || head.ContentLength != m.Layers[0].Size {
		t.Errorf("HEAD says %d bytes, %v", head.ContentLength, err)
	}
}
