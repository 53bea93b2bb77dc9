//go:build linux

package reboot

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// Etcd is the store of semaphores.
type Etcd struct {
	Endpoints      []string
	User, Password string // "" is none
	Key            string
	Client         *http.Client

	token string
}

// DefaultEndpoints are asked when none are set.
var DefaultEndpoints = []string{"http://127.0.0.1:2379", "http://127.0.0.1:4001"}

// NewEtcd makes a client. The three files are for TLS; the certificate and
// its key belong together, an authority alone is enough to know the server.
func NewEtcd(endpoints []string, ca, cert, key string) (*Etcd, error) {
	client, err := NewClient(ca, cert, key)
	if err != nil {
		return nil, fmt.Errorf("reaching etcd: %w", err)
	}
	if len(endpoints) == 0 {
		endpoints = DefaultEndpoints
	}
	for i, e := range endpoints {
		if !strings.Contains(e, "://") {
			endpoints[i] = "http://" + e
		}
	}
	return &Etcd{Endpoints: endpoints, Client: client}, nil
}

// NewClient speaks HTTPS with an authority and a certificate from files, where
// they are given.
func NewClient(ca, cert, key string) (*http.Client, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if (cert == "") != (key == "") {
		return nil, errors.New("a certificate and its key belong together; set both or none")
	}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("reading the certificate: %w", err)
		}
		conf.Certificates = []tls.Certificate{pair}
	}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, fmt.Errorf("reading the authority: %w", err)
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s has no certificate", ca)
		}
	}
	return &http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{TLSClientConfig: conf}}, nil
}

// The messages of etcd's JSON interface (etcdserverpb.KV and Auth); byte
// strings are base64, as encoding/json has them, and 64-bit numbers text.
type keyValue struct {
	Key         []byte `json:"key,omitempty"`
	Value       []byte `json:"value,omitempty"`
	ModRevision string `json:"mod_revision,omitempty"`
}

type compare struct {
	Key         []byte `json:"key"`
	Target      string `json:"target"`
	Result      string `json:"result"`
	ModRevision string `json:"mod_revision"`
}

type putRequest struct {
	Put keyValue `json:"request_put"`
}

type txnRequest struct {
	Compare []compare    `json:"compare"`
	Success []putRequest `json:"success"`
}

// Get reads the semaphore and its revision, "0" if there is none yet.
func (e *Etcd) Get(ctx context.Context) (s Semaphore, revision string, err error) {
	var out struct {
		KVs []keyValue `json:"kvs"`
	}
	if err := e.post(ctx, "/v3/kv/range", keyValue{Key: []byte(e.Key)}, &out); err != nil {
		return s, "", err
	}
	if len(out.KVs) == 0 {
		return NewSemaphore(), "0", nil
	}
	s, err = ParseSemaphore(out.KVs[0].Value)
	return s, out.KVs[0].ModRevision, err
}

// attempts bounds how often a change is tried that others overtake.
const attempts = 20

// Change reads the semaphore, changes it and writes it back, unless somebody
// else wrote meanwhile: then again.
func (e *Etcd) Change(ctx context.Context, f func(Semaphore) (Semaphore, error)) (before, after Semaphore, err error) {
	for range attempts {
		s, revision, err := e.Get(ctx)
		if err != nil {
			return s, s, err
		}
		next, err := f(s)
		if err != nil {
			return s, s, err
		}
		done, err := e.swap(ctx, revision, next)
		if err != nil || done {
			return s, next, err
		}
	}
	return before, after, errors.New("changing the reboot lock: others were faster each time")
}

func (e *Etcd) swap(ctx context.Context, revision string, s Semaphore) (bool, error) {
	key := []byte(e.Key)
	req := txnRequest{
		Compare: []compare{{Key: key, Target: "MOD", Result: "EQUAL", ModRevision: revision}},
		Success: []putRequest{{keyValue{Key: key, Value: s.Marshal()}}},
	}
	var out struct {
		Succeeded bool `json:"succeeded"`
	}
	err := e.post(ctx, "/v3/kv/txn", req, &out)
	return out.Succeeded, err
}

// post asks the endpoints in turn until one answers.
func (e *Etcd) post(ctx context.Context, path string, in, out any) error {
	if e.User != "" && e.token == "" && path != "/v3/auth/authenticate" {
		if err := e.login(ctx); err != nil {
			return err
		}
	}
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	var errs []error
	for _, endpoint := range e.Endpoints {
		err := e.postTo(ctx, strings.TrimSuffix(endpoint, "/")+path, body, out)
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return fmt.Errorf("reaching etcd: %w", errors.Join(errs...))
}

func (e *Etcd) login(ctx context.Context) error {
	var out struct {
		Token string `json:"token"`
	}
	in := map[string]string{"name": e.User, "password": e.Password}
	if err := e.post(ctx, "/v3/auth/authenticate", in, &out); err != nil {
		return fmt.Errorf("logging in as %s: %w", e.User, err)
	}
	e.token = out.Token
	return nil
}

func (e *Etcd) postTo(ctx context.Context, url string, body []byte, out any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if e.token != "" {
		req.Header.Set("Authorization", e.token)
	}
	resp, err := e.Client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		e.token = "" // it may have run out
		return fmt.Errorf("%s: HTTP status %s: %s", url, resp.Status, message(data))
	}
	return json.Unmarshal(data, out)
}

// message is what an error's body says.
func message(data []byte) string {
	var m struct {
		Message string `json:"message"`
		Value   string `json:"value"`
	}
	if json.Unmarshal(data, &m) == nil && m.Message+m.Value != "" {
		return m.Message + m.Value
	}
	return strings.TrimSpace(string(data))
}
