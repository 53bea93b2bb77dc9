package provision

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/url"
	"strings"
)

// Fetcher gets resources that a config names.
type Fetcher interface {
	// Fetch writes the resource, verified and uncompressed, to w. After an
	// error w may have part of it, which must not be used. Errors name the URL
	// and are, where it applies, ErrNeedsNetwork or ErrNotFound.
	Fetch(ctx context.Context, r Request, w io.Writer) error
}

// Configurable is a fetcher that obeys what a config says about fetching.
type Configurable interface {
	// Configure returns a fetcher that differs in what s sets.
	Configure(s FetchSettings) (Fetcher, error)
}

// What a caller of a Fetcher can act on.
var (
	// ErrNeedsNetwork says that the resource is not to be had without a network.
	ErrNeedsNetwork = errors.New("it needs a network")
	// ErrNoOEM says that there is no partition that has the resource.
	ErrNoOEM = errors.New("there is no OEM partition")
	// ErrNotFound says that the server knows no such resource.
	ErrNotFound = errors.New("not found")
)

// HashError is the failure of content that is not the announced one.
type HashError struct{ Kind, Got string }

// Error names the hash that the content has.
func (e *HashError) Error() string {
	return fmt.Sprintf("the content has another %s: %s", e.Kind, e.Got)
}

// Request names a resource.
type Request struct {
	URL         string
	Headers     []Header // sent with http and https
	Hash        string   // sha256-HEX or sha512-HEX of the uncompressed content; empty: not verified
	Compression string   // empty or gzip
}

// Header is a header of an HTTP request.
type Header struct{ Name, Value string }

// Address is the URL for people, without a password.
func (r Request) Address() string {
	u, err := url.Parse(r.URL)
	if err != nil {
		return r.URL
	}
	return u.Redacted()
}

// FetchSettings are what a config says about fetching. Nil leaves a setting
// as it is.
type FetchSettings struct {
	ResponseHeadersSeconds *int // 0: for ever
	TotalSeconds           *int // 0: for ever
	HTTPProxy, HTTPSProxy  *string
	NoProxy                []string
	Authorities            [][]byte // bundles of PEM, added to those of the system
}

// Receive copies the body of a resource to w as the request says: unpacked,
// and compared with its hash. A fetcher's last step.
func Receive(r Request, body io.Reader, w io.Writer) error {
	if r.Compression == "gzip" {
		unpacked, err := unpack(body)
		if err != nil {
			return err
		}
		body = unpacked
	}
	sum, kind, want, err := newSum(r.Hash)
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.MultiWriter(w, sum), body); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); want != "" && !strings.EqualFold(got, want) {
		return &HashError{kind, got}
	}
	return nil
}

// unpack reads gzip. Nothing at all stays nothing.
func unpack(body io.Reader) (io.Reader, error) {
	b := bufio.NewReader(body)
	if _, err := b.Peek(1); err == io.EOF {
		return b, nil
	}
	z, err := gzip.NewReader(b)
	if err != nil {
		return nil, fmt.Errorf("the content is not gzip: %w", err)
	}
	return gunzip{z}, nil
}

type gunzip struct{ z *gzip.Reader }

func (g gunzip) Read(p []byte) (int, error) {
	n, err := g.z.Read(p)
	if err != nil && err != io.EOF {
		err = fmt.Errorf("the gzip content is damaged: %w", err)
	}
	return n, err
}

// newSum starts a digest of the kind that an announced hash has.
func newSum(announced string) (sum hash.Hash, kind, want string, err error) {
	kind, want, _ = strings.Cut(announced, "-")
	switch kind {
	case "", "sha256":
		return sha256.New(), kind, want, nil
	case "sha512":
		return sha512.New(), kind, want, nil
	}
	return nil, "", "", fmt.Errorf("unknown kind of hash %q", kind)
}

// limited fails when more than a number of bytes is written.
type limited struct {
	w    io.Writer
	left int64
	max  int64
}

func limit(w io.Writer, max int64) *limited { return &limited{w, max, max} }

func (l *limited) Write(p []byte) (int, error) {
	if l.left -= int64(len(p)); l.left < 0 {
		return 0, fmt.Errorf("the content is larger than %d MiB", l.max>>20)
	}
	return l.w.Write(p)
}
