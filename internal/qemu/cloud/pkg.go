// Package cloud plays a cloud for a virtual machine: a metadata service that
// answers from a table, and a config drive. Tables are YAML:
//
//	platform: hetzner
//	requests:
//	  - request: GET /hetzner/v1/userdata
//	    body: ${config}
//	  - request: GET /hetzner/v1/metadata
//	    header: "Metadata-Flavor: Google"   # one that the request must have
//	    status: 200
//	    body: "hostname: web-1\n"
//	drive:
//	  label: config-2
//	  files:
//	    openstack/latest/user_data: ${config}
//
// In texts, ${config} is the machine's Ignition config, ${config64} the same
// in base64, and ${key} the public SSH key of whoever boots the machine. What
// is in no table is 404.
package cloud

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"wellcar.dev/internal/format/fat"
	"wellcar.dev/internal/format/fstree"
)

// Addresses are those of metadata services; a machine whose network is Network
// reaches them.
var Addresses = []string{"169.254.169.254:80", "169.254.42.42:80"}

// Network is that of the machine.
const Network = "169.254.0.0/16"

// Cloud is what a table says.
type Cloud struct {
	Platform string `yaml:"platform"` // the word flatcar.oem.id=
	Requests []Answer
	Drive    *Drive
}

// Answer is what one request gets. The first that fits is taken.
type Answer struct {
	Request string // GET /path?query
	Header  string // Name: value
	Status  int    // 0: 200
	Body    string
}

// Drive is a FAT file system.
type Drive struct {
	Label string
	Files map[string]string // by their path
}

// Parse reads a table.
func Parse(name string, data []byte) (Cloud, error) {
	var c Cloud
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(&c); err != nil && !errors.Is(err, io.EOF) {
		return c, fmt.Errorf("%s: %w", name, err)
	}
	for _, a := range c.Requests {
		method, path, ok := strings.Cut(a.Request, " ")
		if !ok || method == "" || !strings.HasPrefix(path, "/") {
			return c, fmt.Errorf("%s: request %q: write METHOD /PATH", name, a.Request)
		}
	}
	return c, nil
}

// Fill puts a machine's own values into the texts.
func (c Cloud) Fill(config []byte, key string) Cloud {
	fill := strings.NewReplacer("${config}", string(config), "${config64}", base64.StdEncoding.EncodeToString(config), "${key}", key).Replace
	out := c
	out.Requests = slices.Clone(c.Requests)
	for i := range out.Requests {
		out.Requests[i].Body = fill(out.Requests[i].Body)
	}
	if c.Drive != nil {
		d := *c.Drive
		d.Files = maps.Clone(d.Files)
		for name, text := range d.Files {
			d.Files[name] = fill(text)
		}
		out.Drive = &d
	}
	return out
}

// ServeHTTP implements http.Handler.
func (c Cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for _, a := range c.Requests {
		name, value, _ := strings.Cut(a.Header, ": ")
		if a.Request != r.Method+" "+r.URL.RequestURI() || a.Header != "" && r.Header.Get(name) != value {
			continue
		}
		if a.Status != 0 {
			w.WriteHeader(a.Status)
		}
		_, _ = io.WriteString(w, a.Body) // a machine may hang up
		return
	}
	http.NotFound(w, r)
}

// Server is a metadata service that runs.
type Server struct {
	Addr string // on the host's loopback
	http *http.Server
	done chan struct{}
}

// Serve starts one. The caller closes it.
func Serve(c Cloud) (*Server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("starting the metadata service: %w", err)
	}
	s := &Server{Addr: l.Addr().String(), http: &http.Server{Handler: c}, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		_ = s.http.Serve(l) // ends when closed
	}()
	return s, nil
}

// Close ends it.
func (s *Server) Close() error {
	err := s.http.Close()
	<-s.done
	return err
}

const driveSize = 8 << 20

// Image is the drive's bytes.
func (d Drive) Image() ([]byte, error) {
	t := fstree.New()
	for name, text := range d.Files {
		if err := t.Put(fstree.Node{Path: name, Kind: fstree.File, Mode: 0o644, Blob: fstree.BytesBlob([]byte(text))}); err != nil {
			return nil, fmt.Errorf("making the config drive: %w", err)
		}
	}
	image := make(memory, driveSize)
	upper := strings.ToUpper(d.Label)
	if err := fat.Write(image, driveSize, fat.Options{Label: upper}, t); err != nil {
		return nil, fmt.Errorf("making the config drive: %w", err)
	}
	// Clouds write labels in lower case, which FAT does not forbid.
	padded := func(label string) []byte { return []byte(fmt.Sprintf("%-11s", label)) }
	return bytes.ReplaceAll(image, padded(upper), padded(d.Label)), nil
}

// memory is a file in memory.
type memory []byte

func (m memory) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 || off+int64(len(p)) > int64(len(m)) {
		return 0, io.ErrShortWrite
	}
	return copy(m[off:], p), nil
}
