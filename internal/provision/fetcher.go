package provision

import (
	"context"
	"errors"
	"io"
)

// Fetcher gets resources that a config names.
type Fetcher interface {
	// Fetch writes the resource, verified and uncompressed, to w. After an
	// error w may have part of it, which must not be used. Errors name the URL
	// and are, where it applies, ErrNeedsNetwork or ErrNotFound.
	Fetch(ctx context.Context, r Request, w io.Writer) error
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

// What a caller of a Fetcher can act on.
var (
	// ErrNeedsNetwork says that the resource is not to be had without a network.
	ErrNeedsNetwork = errors.New("it needs a network")
	// ErrNotFound says that the server knows no such resource.
	ErrNotFound = errors.New("not found")
)
