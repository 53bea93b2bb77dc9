package provision

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strings"

	types "github.com/coreos/ignition/v2/config/v3_7_experimental/types"
	"github.com/vincent-petithory/dataurl"
)

// Largest embedded content after unpacking, in bytes.
const contentMax = 256 << 20

// Content is what goes into a file, verified and uncompressed.
type Content struct {
	data   []byte
	sha256 string // hex
}

// NewContent is a content of these bytes, which must not change any more.
func NewContent(data []byte) *Content {
	sum := sha256.Sum256(data)
	return &Content{data, hex.EncodeToString(sum[:])}
}

// Bytes is the whole content, to be read only.
func (c *Content) Bytes() []byte { return c.data }

// Size is the length in bytes.
func (c *Content) Size() int { return len(c.data) }

// SHA256 is the digest in hex.
func (c *Content) SHA256() string { return c.sha256 }

// String is the size and the beginning of the digest.
func (c *Content) String() string {
	unit := "bytes"
	if len(c.data) == 1 {
		unit = "byte"
	}
	return fmt.Sprintf("%d %s, sha256 %s", len(c.data), unit, c.sha256[:8])
}

// MarshalJSON gives size and digest; the bytes stay in the config.
func (c *Content) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Size   int    `json:"size"`
		SHA256 string `json:"sha256"`
	}{len(c.data), c.sha256})
}

// content decodes an embedded resource. A source that would have to be
// fetched is a problem for now.
func (c Config) content(res types.Resource, p Path) (*Content, *Problem) {
	data, err := embedded(res.Source)
	field := "source"
	if err == nil && res.Compression != nil && *res.Compression == "gzip" && len(data) > 0 {
		field = "compression"
		data, err = gunzip(data)
	}
	if err == nil {
		if err = verify(data, res.Verification.Hash); err != nil {
			return nil, c.problem(p.with("verification", "hash"), err.Error(), "correct the hash; it is that of the uncompressed content")
		}
		return NewContent(data), nil
	}
	remedy := "correct the embedded content"
	if _, ok := err.(unfetched); ok {
		remedy = "embed the content: in Butane with local or inline"
	}
	return nil, c.problem(p.with(field), err.Error(), remedy)
}

// unfetched is the scheme of a source that needs a network.
type unfetched string

func (u unfetched) Error() string {
	return fmt.Sprintf("not supported yet: source scheme %s (needs network)", string(u))
}

func embedded(source *string) ([]byte, error) {
	if source == nil || *source == "" {
		return nil, nil
	}
	if !strings.HasPrefix(*source, "data:") {
		u, err := url.Parse(*source)
		if err != nil {
			return nil, err
		}
		return nil, unfetched(u.Scheme)
	}
	d, err := dataurl.DecodeString(*source)
	if err != nil {
		return nil, fmt.Errorf("the data URL cannot be decoded: %w", err)
	}
	return d.Data, nil
}

func gunzip(data []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("the content is not gzip: %w", err)
	}
	out, err := io.ReadAll(io.LimitReader(z, contentMax+1))
	if err != nil {
		return nil, fmt.Errorf("the gzip content is damaged: %w", err)
	}
	if len(out) > contentMax {
		return nil, fmt.Errorf("the content unpacks to more than %d MiB", contentMax>>20)
	}
	return out, nil
}

// verify compares data with a hash as the spec writes it.
func verify(data []byte, hash *string) error {
	if hash == nil {
		return nil
	}
	kind, want, _ := strings.Cut(*hash, "-")
	var got string
	switch kind {
	case "sha256":
		sum := sha256.Sum256(data)
		got = hex.EncodeToString(sum[:])
	case "sha512":
		sum := sha512.Sum512(data)
		got = hex.EncodeToString(sum[:])
	default:
		return fmt.Errorf("unknown kind of hash %q", kind)
	}
	if !strings.EqualFold(got, want) {
		return fmt.Errorf("the content has another %s: %s", kind, got)
	}
	return nil
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
