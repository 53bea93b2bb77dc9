package registry

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"sort"
	"strconv"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"wellcar.dev/internal/format/fstree"
)

// Config is how the container of an image is started.
type Config struct {
	Entrypoint []string
	Cmd        []string
	Env        []string // NAME=value
	Ports      []int    // TCP, exposed
	User       string
	WorkingDir string
	Labels     map[string]string
}

// ImageFromTree makes a Linux amd64 image with the tree as its only layer.
// Equal trees and configs give equal digests: the layer has no clock in it.
//
// The layer is not compressed: it crosses only the loopback, and the guest is
// the slower end. The tree must not change while the image is used.
func ImageFromTree(t *fstree.Tree, cfg Config) (v1.Image, error) {
	layer, err := newLayer(t)
	if err != nil {
		return nil, fmt.Errorf("making an image layer: %w", err)
	}
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err := mutate.AppendLayers(base, layer)
	if err != nil {
		return nil, fmt.Errorf("making an image: %w", err)
	}
	file, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("making an image: %w", err)
	}
	file = file.DeepCopy()
	file.Architecture, file.OS = "amd64", "linux"
	file.Config = v1.Config{
		Entrypoint: cfg.Entrypoint, Cmd: cfg.Cmd, Env: cfg.Env, User: cfg.User, WorkingDir: cfg.WorkingDir, Labels: cfg.Labels,
	}
	for _, port := range cfg.Ports {
		if file.Config.ExposedPorts == nil {
			file.Config.ExposedPorts = map[string]struct{}{}
		}
		file.Config.ExposedPorts[strconv.Itoa(port)+"/tcp"] = struct{}{}
	}
	image, err = mutate.ConfigFile(image, file)
	if err != nil {
		return nil, fmt.Errorf("making an image: %w", err)
	}
	return image, nil
}

// layer writes its tar stream anew each time it is asked for, so that a tree
// of any size needs no memory.
type layer struct {
	tree   *fstree.Tree
	digest v1.Hash
	size   int64
}

func newLayer(t *fstree.Tree) (*layer, error) {
	sum, count := sha256.New(), &counter{}
	if err := WriteTar(io.MultiWriter(sum, count), t); err != nil {
		return nil, err
	}
	digest := v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum.Sum(nil))}
	return &layer{t, digest, count.n}, nil
}

func (l *layer) Digest() (v1.Hash, error)            { return l.digest, nil }
func (l *layer) DiffID() (v1.Hash, error)            { return l.digest, nil }
func (l *layer) Size() (int64, error)                { return l.size, nil }
func (l *layer) MediaType() (types.MediaType, error) { return types.OCIUncompressedLayer, nil }
func (l *layer) Compressed() (io.ReadCloser, error)  { return l.Uncompressed() }
func (l *layer) Uncompressed() (io.ReadCloser, error) {
	r, w := io.Pipe()
	go func() { w.CloseWithError(WriteTar(w, l.tree)) }()
	return r, nil
}

type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}

// WriteTar writes a tree as a tar stream in the tree's order. Every time
// stamp is the epoch.
func WriteTar(w io.Writer, t *fstree.Tree) error {
	tw := tar.NewWriter(w)
	written := map[string]bool{}
	for _, n := range t.Nodes() {
		if n.Path == "." {
			continue
		}
		if err := writeNode(tw, n, written); err != nil {
			return fmt.Errorf("%s: %w", n.Path, err)
		}
		written[n.Path] = true
	}
	return tw.Close()
}

func writeNode(tw *tar.Writer, n *fstree.Node, written map[string]bool) error {
	h := header(n)
	// A hard link must come after what it links to; one that comes before is a copy.
	linked := n.Kind == fstree.File && n.LinkTo != "" && written[n.LinkTo]
	switch {
	case linked:
		h.Typeflag, h.Linkname = tar.TypeLink, n.LinkTo
	case n.Kind == fstree.File:
		h.Size = n.Blob.Size
	}
	if err := tw.WriteHeader(h); err != nil {
		return err
	}
	if n.Kind != fstree.File || linked || n.Blob.Size == 0 {
		return nil
	}
	_, err := io.Copy(tw, n.Blob.Reader())
	return err
}

func header(n *fstree.Node) *tar.Header {
	h := &tar.Header{
		Name: n.Path, Mode: int64(n.Mode), Uid: int(n.UID), Gid: int(n.GID), ModTime: time.Unix(0, 0),
		Typeflag: tar.TypeReg, Format: tar.FormatPAX,
	}
	switch n.Kind {
	case fstree.Dir:
		h.Typeflag, h.Name = tar.TypeDir, n.Path+"/"
	case fstree.Symlink:
		h.Typeflag, h.Linkname = tar.TypeSymlink, n.Target
	case fstree.CharDevice, fstree.BlockDevice:
		h.Typeflag, h.Devmajor, h.Devminor = tar.TypeChar, int64(n.Major), int64(n.Minor)
		if n.Kind == fstree.BlockDevice {
			h.Typeflag = tar.TypeBlock
		}
	case fstree.Fifo:
		h.Typeflag = tar.TypeFifo
	}
	names := make([]string, 0, len(n.Xattrs))
	for name := range n.Xattrs {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		if h.PAXRecords == nil {
			h.PAXRecords = map[string]string{}
		}
		h.PAXRecords["SCHILY.xattr."+name] = string(bytes.Clone(n.Xattrs[name]))
	}
	return h
}
