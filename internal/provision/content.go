package provision

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	types "github.com/coreos/ignition/v2/config/v3_7_experimental/types"
	"github.com/vincent-petithory/dataurl"
)

// Largest content that is held in memory after unpacking, in bytes.
const contentMax = 256 << 20

// Content is what goes into a file: bytes that the config embeds, verified and
// unpacked, or a resource that is fetched when it is written.
type Content struct {
	data   []byte
	sha256 string   // hex; of a resource only if announced
	remote *Request // nil: embedded

	at, hashAt Position // of a resource: the source and its hash in the user's text
}

// NewContent is a content of these bytes, which must not change any more.
func NewContent(data []byte) *Content {
	sum := sha256.Sum256(data)
	return &Content{data: data, sha256: hex.EncodeToString(sum[:])}
}

// NewRemoteContent is a content to fetch.
func NewRemoteContent(r Request) *Content {
	c := &Content{remote: &r}
	c.sha256, _ = strings.CutPrefix(r.Hash, "sha256-")
	if c.sha256 == r.Hash {
		c.sha256 = ""
	}
	return c
}

// Remote is the resource to fetch; ok is false if the content is embedded.
func (c *Content) Remote() (r Request, ok bool) {
	if c.remote == nil {
		return Request{}, false
	}
	return *c.remote, true
}

// Bytes is the whole of an embedded content, to be read only.
func (c *Content) Bytes() []byte { return c.data }

// Size is the length in bytes, -1 if it is not known before fetching.
func (c *Content) Size() int {
	if c.remote != nil {
		return -1
	}
	return len(c.data)
}

// SHA256 is the digest in hex; empty if it is not known before fetching.
func (c *Content) SHA256() string { return c.sha256 }

// WriteTo writes the content, fetching it if need be. What was written is
// good only if the error is nil. A nil fetcher serves embedded content only.
func (c *Content) WriteTo(ctx context.Context, f Fetcher, w io.Writer) error {
	if c.remote == nil {
		_, err := w.Write(c.data)
		return err
	}
	err := fetch(ctx, f, *c.remote, w)
	var wrong *HashError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &wrong):
		return &placedError{c.hashAt, err}
	}
	return &placedError{c.at, err}
}

// Read is the content as bytes, for those that are small: at most limit.
func (c *Content) Read(ctx context.Context, f Fetcher, max int64) ([]byte, error) {
	var b bytes.Buffer
	err := c.WriteTo(ctx, f, limit(&b, max))
	return b.Bytes(), err
}

func fetch(ctx context.Context, f Fetcher, r Request, w io.Writer) error {
	if f == nil {
		return fmt.Errorf("fetching %s: %w", r.Address(), ErrNeedsNetwork)
	}
	return f.Fetch(ctx, r, w)
}

// placedError is an error with a better place than its step's.
type placedError struct {
	at Position
	error
}

func (e *placedError) Unwrap() error { return e.error }

// String is the size and the beginning of the digest, or where it comes from.
func (c *Content) String() string {
	if c.remote != nil {
		return "from " + c.remote.Address() + announced(c.remote.Hash)
	}
	unit := "bytes"
	if len(c.data) == 1 {
		unit = "byte"
	}
	return fmt.Sprintf("%d %s, sha256 %s", len(c.data), unit, c.sha256[:8])
}

func announced(hash string) string {
	kind, hex, ok := strings.Cut(hash, "-")
	if !ok {
		return ", without a hash"
	}
	return ", " + kind + " " + hex[:min(8, len(hex))]
}

// MarshalJSON gives size and digest, or source and hash; the bytes stay in
// the config.
func (c *Content) MarshalJSON() ([]byte, error) {
	if c.remote != nil {
		return json.Marshal(struct {
			Source      string `json:"source"`
			Hash        string `json:"hash,omitempty"`
			Compression string `json:"compression,omitempty"`
		}{c.remote.Address(), c.remote.Hash, c.remote.Compression})
	}
	return json.Marshal(struct {
		Size   int    `json:"size"`
		SHA256 string `json:"sha256"`
	}{len(c.data), c.sha256})
}

// content decodes an embedded resource, or takes note of one to fetch.
func (c Config) content(res types.Resource, p Path) (*Content, *Problem) {
	r, problem := c.request(res, p)
	if problem != nil {
		return nil, problem
	}
	if r.URL != "" && !strings.HasPrefix(r.URL, "data:") {
		out := NewRemoteContent(r)
		out.at, out.hashAt = c.Position(p.with("source")...), c.Position(p.with("verification", "hash")...)
		return out, nil
	}
	data, err := embedded(r)
	if err == nil {
		return NewContent(data), nil
	}
	var wrong *HashError
	if errors.As(err, &wrong) {
		return nil, c.problem(p.with("verification", "hash"), err.Error(), "correct the hash; it is that of the uncompressed content")
	}
	field := "source"
	if r.Compression != "" {
		field = "compression"
	}
	return nil, c.problem(p.with(field), err.Error(), "correct the embedded content")
}

// request reads what a resource says.
func (c Config) request(res types.Resource, p Path) (Request, *Problem) {
	r := Request{URL: value(res.Source), Hash: value(res.Verification.Hash), Compression: value(res.Compression)}
	u, err := url.Parse(r.URL)
	if err != nil && !strings.HasPrefix(r.URL, "data:") {
		return r, c.problem(p.with("source"), "the source is not a URL", "write it as https://..., or data:, with a space as %20")
	}
	if u != nil && u.Scheme == "oem" && (u.Host != "" || !strings.HasPrefix(u.Path, "/")) {
		return r, c.problem(p.with("source"), "the path on the OEM partition is not absolute", "write oem:///PATH")
	}
	for i, h := range res.HTTPHeaders {
		if h.Name == "" || value(h.Value) == "" {
			return r, c.problem(p.with("httpHeaders", i), "a header of the request has no name or no value", "give both")
		}
		r.Headers = append(r.Headers, Header{h.Name, *h.Value})
	}
	if r.Compression != "" && u != nil && (u.Scheme == "s3" || u.Scheme == "arn") {
		return r, c.problem(p.with("compression"), "content from S3 cannot be unpacked", "store it uncompressed, and drop compression")
	}
	return r, nil
}

func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func embedded(r Request) ([]byte, error) {
	var body []byte
	if r.URL != "" {
		d, err := dataurl.DecodeString(r.URL)
		if err != nil {
			return nil, fmt.Errorf("the data URL cannot be decoded: %w", err)
		}
		body = d.Data
	}
	if r.Compression == "" {
		return body, Receive(r, bytes.NewReader(body), io.Discard)
	}
	var out bytes.Buffer
	err := Receive(r, bytes.NewReader(body), limit(&out, contentMax))
	return out.Bytes(), err
}

// problem is an error at an element, its object named.
func (c Config) problem(p Path, message, remedy string) *Problem {
	var root any
	json.Unmarshal(c.JSON, &root)
	name, _ := objectAt(root, p)
	if name != "" {
		message = name + ": " + message
	}
	return &Problem{Severity: Error, Message: message, Position: c.Position(p...), Path: p.String(), Remedy: remedy}
}
