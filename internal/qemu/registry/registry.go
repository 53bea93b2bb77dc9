// Package registry serves container images to a machine that has no way to a
// real registry: read-only, on the host's loopback, from memory or files.
//
// Protocol: OCI Distribution Specification 1.1, pull only
// (https://github.com/opencontainers/distribution-spec). Limits: no
// authentication, no TLS, no image indexes.
//
//	image, err := registry.ImageFromTree(tree, registry.Config{Cmd: []string{"/bin/httpd"}})
//	server, err := registry.Serve(ctx, map[string]v1.Image{"hello:latest": image})
//	defer server.Close()
package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sort"
	"strconv"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Server is a registry that runs.
type Server struct {
	Addr string // 127.0.0.1:PORT
	http *http.Server
}

// Serve starts a registry of the given images, by reference ("hello:1";
// without a tag "latest" is meant). It ends with ctx or Close.
func Serve(ctx context.Context, images map[string]v1.Image) (*Server, error) {
	handler, err := Handler(images)
	if err != nil {
		return nil, err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("opening the image registry: %w", err)
	}
	s := &Server{l.Addr().String(), &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}}
	go func() { _ = s.http.Serve(l) }()
	context.AfterFunc(ctx, func() { s.http.Close() })
	return s, nil
}

// Close ends the registry and the transfers under way.
func (s *Server) Close() error { return s.http.Close() }

// stored is a manifest or a blob.
type stored struct {
	kind   types.MediaType
	digest v1.Hash
	size   int64 // bytes
	open   func() (io.ReadCloser, error)
}

type handler struct {
	manifests map[string]stored // by "name:tag" and "name@digest"
	blobs     map[string]stored // by digest; any name may ask for any blob
	tags      map[string][]string
}

// Handler answers the pull requests of the distribution specification.
func Handler(images map[string]v1.Image) (http.Handler, error) {
	h := handler{map[string]stored{}, map[string]stored{}, map[string][]string{}}
	for ref, image := range images {
		name, tag := splitRef(ref)
		if err := h.add(name, tag, image); err != nil {
			return nil, fmt.Errorf("serving image %s: %w", ref, err)
		}
	}
	for _, tags := range h.tags {
		sort.Strings(tags)
	}
	return h, nil
}

func splitRef(ref string) (name, tag string) {
	if i := strings.LastIndexByte(ref, ':'); i > strings.LastIndexByte(ref, '/') {
		return ref[:i], ref[i+1:]
	}
	return ref, "latest"
}

func (h handler) add(name, tag string, image v1.Image) error {
	if name == "" || tag == "" {
		return errors.New("the reference must be a name, or a name and a tag")
	}
	manifest, err := rawManifest(image)
	if err != nil {
		return err
	}
	h.manifests[name+":"+tag] = manifest
	h.manifests[name+"@"+manifest.digest.String()] = manifest
	h.tags[name] = append(h.tags[name], tag)
	config, err := image.RawConfigFile()
	if err != nil {
		return err
	}
	digest, err := image.ConfigName()
	if err != nil {
		return err
	}
	h.blobs[digest.String()] = inMemory(types.OCIConfigJSON, digest, config)
	layers, err := image.Layers()
	if err != nil {
		return err
	}
	for _, layer := range layers {
		if err := h.addLayer(layer); err != nil {
			return err
		}
	}
	return nil
}

func (h handler) addLayer(layer v1.Layer) error {
	digest, err := layer.Digest()
	if err != nil {
		return err
	}
	size, err := layer.Size()
	if err != nil {
		return err
	}
	h.blobs[digest.String()] = stored{types.OCILayer, digest, size, layer.Compressed}
	return nil
}

func rawManifest(image v1.Image) (stored, error) {
	raw, err := image.RawManifest()
	if err != nil {
		return stored{}, err
	}
	digest, err := image.Digest()
	if err != nil {
		return stored{}, err
	}
	kind, err := image.MediaType()
	return inMemory(kind, digest, raw), err
}

func inMemory(kind types.MediaType, digest v1.Hash, data []byte) stored {
	return stored{kind, digest, int64(len(data)), func() (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(string(data))), nil
	}}
}

func (h handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		refuse(w, http.StatusMethodNotAllowed, "UNSUPPORTED", "this registry is read-only")
		return
	}
	path, ok := strings.CutPrefix(r.URL.Path, "/v2/")
	switch {
	case !ok:
		refuse(w, http.StatusNotFound, "NAME_UNKNOWN", "this is an image registry: ask below /v2/")
	case path == "":
		writeJSON(w, http.StatusOK, struct{}{})
	case strings.HasSuffix(path, "/tags/list"):
		h.list(w, strings.TrimSuffix(path, "/tags/list"))
	default:
		h.content(w, r, path)
	}
}

func (h handler) list(w http.ResponseWriter, name string) {
	if h.tags[name] == nil {
		refuse(w, http.StatusNotFound, "NAME_UNKNOWN", "no image "+name)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"name": name, "tags": h.tags[name]})
}

// content serves NAME/manifests/REFERENCE and NAME/blobs/DIGEST.
func (h handler) content(w http.ResponseWriter, r *http.Request, path string) {
	rest, last := "", path
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		rest, last = path[:i], path[i+1:]
	}
	if name, ok := strings.CutSuffix(rest, "/manifests"); ok {
		key := name + ":" + last
		if strings.Contains(last, ":") {
			key = name + "@" + last
		}
		if m, ok := h.manifests[key]; ok {
			send(w, r, m)
			return
		}
		refuse(w, http.StatusNotFound, "MANIFEST_UNKNOWN", "no image "+key)
		return
	}
	if blob, ok := h.blobs[last]; ok && strings.HasSuffix(rest, "/blobs") {
		send(w, r, blob)
		return
	}
	refuse(w, http.StatusNotFound, "BLOB_UNKNOWN", "nothing at "+path)
}

func send(w http.ResponseWriter, r *http.Request, s stored) {
	w.Header().Set("Content-Type", string(s.kind))
	w.Header().Set("Content-Length", strconv.FormatInt(s.size, 10))
	w.Header().Set("Docker-Content-Digest", s.digest.String())
	if r.Method == http.MethodHead {
		return
	}
	body, err := s.open()
	if err != nil {
		w.Header().Del("Content-Length")
		refuse(w, http.StatusInternalServerError, "UNKNOWN", err.Error())
		return
	}
	defer body.Close()
	// A short body breaks the announced length, which the client notices.
	_, _ = io.CopyN(w, body, s.size)
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	writeJSON(w, status, map[string]any{"errors": []map[string]string{{"code": code, "message": message}}})
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value)
}
