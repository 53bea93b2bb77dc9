package fetch

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/http/httpproxy"

	"wellcar.dev/internal/provision"
)

// proxySettings are the proxies of a config.
type proxySettings struct {
	http, https string
	except      []string
}

func (p proxySettings) with(s provision.FetchSettings) proxySettings {
	if s.HTTPProxy != nil {
		p.http = *s.HTTPProxy
	}
	if s.HTTPSProxy != nil {
		p.https = *s.HTTPSProxy
	}
	if s.NoProxy != nil {
		p.except = s.NoProxy
	}
	return p
}

// function chooses the proxy of a request. A machine never asks a proxy for
// itself.
func (p proxySettings) function() func(*http.Request) (*url.URL, error) {
	choose := (&httpproxy.Config{HTTPProxy: p.http, HTTPSProxy: p.https, NoProxy: strings.Join(p.except, ",")}).ProxyFunc()
	return func(r *http.Request) (*url.URL, error) { return choose(r.URL) }
}

// addAuthorities adds those of a config to the ones so far.
func (c *Client) addAuthorities(bundles [][]byte) error {
	c.extra = slices.Clone(c.extra)
	for _, b := range bundles {
		certs, err := parseBundle(b)
		if err != nil {
			return err
		}
		c.extra = append(c.extra, certs...)
	}
	return nil
}

// authorities are the system's and those of the configs; nil: those of the
// machine that runs this, as the library finds them. Without any, each https
// server is refused with a sentence.
func (c *Client) authorities() *x509.CertPool {
	roots := c.opt.Roots
	switch {
	case roots == nil && len(c.extra) == 0:
		return nil
	case roots == nil:
		roots = x509.SystemCertPool
	}
	pool, err := roots()
	if len(c.extra) == 0 {
		return pool
	}
	if err != nil {
		pool = x509.NewCertPool() // those of the config are enough for its servers
	}
	pool = pool.Clone()
	for _, cert := range c.extra {
		pool.AddCert(cert)
	}
	return pool
}

// parseBundle reads certificates in PEM, all of them or none.
func parseBundle(data []byte) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for len(bytes.TrimSpace(data)) > 0 {
		block, rest := pem.Decode(data)
		if block == nil {
			return nil, errors.New("the certificate authority is not PEM, or damaged")
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("reading certificate %d of the authority: %w", len(out)+1, err)
		}
		out, data = append(out, cert), rest
	}
	return out, nil
}
