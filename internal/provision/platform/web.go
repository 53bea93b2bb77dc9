package platform

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"

	"wellcar.dev/internal/provision"
)

// link is the address that most clouds answer on.
const link = "http://169.254.169.254"

// Largest config after unpacking, in bytes.
const configMax = 64 << 20

// web asks a server for the config with one request. A 404 means that there
// is none, unless strict.
type web struct {
	url     string
	headers []provision.Header
	retry   []int
	lowPort bool
	strict  bool                         // a 404 is a failure
	decode  func([]byte) ([]byte, error) // nil: as it is
}

func header(name, value string) []provision.Header {
	return []provision.Header{{Name: name, Value: value}}
}

// sites are the clouds that need no more than a request.
var sites = map[string]web{
	"aliyun":       {url: "http://100.100.100.200/latest/user-data"},
	"digitalocean": {url: link + "/metadata/v1/user-data", strict: true},
	"exoscale":     {url: link + "/1.0/user-data"},
	"gcp":          {url: link + "/computeMetadata/v1/instance/attributes/user-data", headers: header("Metadata-Flavor", "Google")},
	"hetzner":      {url: link + "/hetzner/v1/userdata"},
	"oraclecloud":  {url: link + "/opc/v2/instance/metadata/user_data", headers: header("Authorization", "Bearer Oracle"), retry: []int{429}, decode: unbase64},
	"packet":       {url: "https://metadata.packet.net/userdata", headers: header("Accept", "*/*"), strict: true},
	"scaleway":     {url: "http://169.254.42.42/user_data/cloud-init", lowPort: true},
	"upcloud":      {url: link + "/metadata/v1/user_data"},
	"vultr":        {url: link + "/user-data/user-data"},
}

// Fetch implements Source.
func (s web) Fetch(ctx context.Context, env Env) (Found, error) {
	data, err := env.get(ctx, Call{URL: s.url, Headers: s.headers, Retry: s.retry, LowPort: s.lowPort})
	if errors.Is(err, provision.ErrNotFound) && !s.strict {
		return Found{Name: s.url}, nil
	}
	if err == nil && s.decode != nil {
		data, err = s.decode(data)
	}
	return Found{Name: s.url, Data: data}, err
}

// unbase64 reads base64, in which line ends do not count.
func unbase64(data []byte) ([]byte, error) {
	out, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(data)))
	if err != nil {
		return nil, fmt.Errorf("the answer is not base64: %w", err)
	}
	return out, nil
}

// unzip unpacks gzip.
func unzip(data []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("the config is not gzip: %w", err)
	}
	out, err := io.ReadAll(io.LimitReader(z, configMax+1))
	if err != nil {
		return nil, fmt.Errorf("the gzip config is damaged: %w", err)
	}
	if len(out) > configMax {
		return nil, fmt.Errorf("the config unpacks to more than %d MiB", configMax>>20)
	}
	return out, nil
}

func isGzip(data []byte) bool { return bytes.HasPrefix(data, []byte{0x1f, 0x8b}) }
