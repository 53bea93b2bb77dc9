package server

import (
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"wellcar.dev/internal/format/crau"
	"wellcar.dev/internal/format/omaha"
	"wellcar.dev/internal/release"
)

// UpdatePath is where machines post their requests, with or without a slash
// at the end; FilesPath is where they find the files of the release.
const (
	UpdatePath = "/v1/update"
	FilesPath  = "/release/"
)

// Handler serves a release folder. The folder is read for each request, so
// that a release can be exchanged.
type Handler struct {
	Dir  string
	Logf func(format string, args ...any) // one line for each thing that a machine tells
}

// Load reads what the folder offers.
func (h Handler) Load() (Release, release.Manifest, error) {
	data, err := os.ReadFile(filepath.Join(h.Dir, release.ManifestFile))
	if err != nil {
		return Release{}, release.Manifest{}, fmt.Errorf("reading the release: %w", err)
	}
	m, err := release.Inspect(data)
	if err != nil {
		return Release{}, m, fmt.Errorf("reading the release in %s: %w", h.Dir, err)
	}
	r := NewRelease(m.Version, m.Board, release.ManifestFile, data)
	r.Takeover, err = h.takeover(m)
	return r, m, err
}

// takeover describes the payload for other systems, if the release has one.
// Its SHA-1 is in the file of digests beside it.
func (h Handler) takeover(m release.Manifest) (*omaha.Package, error) {
	for _, f := range m.Files {
		if f.Name != crau.File {
			continue
		}
		digests, err := os.ReadFile(filepath.Join(h.Dir, crau.File+".DIGESTS"))
		if err != nil {
			return nil, fmt.Errorf("reading the release: %w", err)
		}
		_, after, _ := strings.Cut(string(digests), "# SHA1 HASH\n")
		word, _, _ := strings.Cut(after, " ")
		short, err := hex.DecodeString(word)
		if err != nil || len(short) != sha1.Size {
			return nil, fmt.Errorf("reading the release: %s.DIGESTS has no SHA-1", crau.File)
		}
		return &omaha.Package{Name: f.Name, Hash: base64.StdEncoding.EncodeToString(short), SHA256: f.SHA256, Size: f.Size, IsRequired: "true"}, nil
	}
	return nil, nil
}

// ServeHTTP is the whole server.
func (h Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.TrimSuffix(r.URL.Path, "/") == UpdatePath:
		h.update(w, r)
	case strings.HasPrefix(r.URL.Path, FilesPath):
		h.file(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (h Handler) update(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		http.Error(w, "POST an Omaha request", http.StatusBadRequest)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, omaha.MaxRequest))
	if err != nil {
		http.Error(w, "the request is too large", http.StatusBadRequest)
		return
	}
	req, err := omaha.DecodeRequest(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	rel, _, err := h.Load()
	if err != nil {
		h.Logf("%v", err)
		http.Error(w, "there is no release", http.StatusInternalServerError)
		return
	}
	h.answer(w, r, req, rel)
}

func (h Handler) answer(w http.ResponseWriter, r *http.Request, req omaha.Request, rel Release) {
	resp, verdicts := Answer(req, rel, "http://"+r.Host+FilesPath)
	for i, app := range req.Apps {
		h.Logf("%s", Describe(app, verdicts[i]))
	}
	data, err := resp.Encode()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	if _, err := w.Write(data); err != nil {
		h.Logf("answering %s: %v", r.RemoteAddr, err)
	}
}

var errNotListed = errors.New("the manifest does not list it")

// file serves what the manifest lists, and the manifest with its signature.
func (h Handler) file(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, FilesPath)
	f, err := h.open(name)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		http.Error(w, "it cannot be read", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, r, name, info.ModTime(), f)
}

func (h Handler) open(name string) (*os.File, error) {
	if name != release.ManifestFile && name != release.SignatureFile {
		_, m, err := h.Load()
		if err != nil {
			return nil, err
		}
		listed := false
		for _, f := range m.All() {
			listed = listed || f.Name == name
		}
		if !listed {
			return nil, errNotListed
		}
	}
	return os.Open(filepath.Join(h.Dir, name))
}
