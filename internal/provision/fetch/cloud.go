package fetch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"wellcar.dev/internal/provision"
)

const (
	metadataHost = "169.254.169.254" // of AWS, Azure and Google alike
	// How long the metadata service may take for what there is a default for.
	metadataPatience = 15 * time.Second
	// Largest answer of a metadata service, in bytes.
	metadataMax = 1 << 20
)

// metadata asks the machine's metadata service.
func (c *Client) metadata(ctx context.Context, method, path string, headers ...provision.Header) ([]byte, error) {
	call := Call{Method: method, URL: "http://" + metadataHost + path, Headers: headers}
	var b bytes.Buffer
	near := *c
	near.http = c.near
	err := near.do(ctx, call, provision.Request{URL: call.URL}, &capped{&b, metadataMax})
	return b.Bytes(), err
}

// capped refuses more than a number of bytes.
type capped struct {
	w    io.Writer
	left int
}

func (c *capped) Write(p []byte) (int, error) {
	if c.left -= len(p); c.left < 0 {
		return 0, errors.New("the answer is too large")
	}
	return c.w.Write(p)
}

// awsToken opens a session with the metadata service. A service without
// sessions needs none.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
func (c *Client) awsToken(ctx context.Context) ([]provision.Header, error) {
	token, err := c.metadata(ctx, http.MethodPut, "/latest/api/token",
		provision.Header{Name: "X-aws-ec2-metadata-token-ttl-seconds", Value: "21600"})
	if errors.Is(err, provision.ErrNotFound) {
		return nil, nil
	}
	return []provision.Header{{Name: "X-aws-ec2-metadata-token", Value: string(token)}}, err
}

// awsCredentials are those of the instance's role, nil if it has none.
func (c *Client) awsCredentials(ctx context.Context) (*credentials, error) {
	const roles = "/latest/meta-data/iam/security-credentials/"
	token, err := c.awsToken(ctx)
	if err != nil {
		return nil, err
	}
	role, err := c.metadata(ctx, "", roles, token...)
	name, _, _ := strings.Cut(strings.TrimSpace(string(role)), "\n")
	if errors.Is(err, provision.ErrNotFound) || err == nil && name == "" {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	data, err := c.metadata(ctx, "", roles+url.PathEscape(name), token...)
	if err != nil {
		return nil, err
	}
	var creds credentials
	if err := json.Unmarshal(data, &creds); err != nil {
		return nil, fmt.Errorf("reading the credentials of the role %s: %w", name, err)
	}
	if creds.AccessKeyID == "" || creds.SecretAccessKey == "" {
		return nil, fmt.Errorf("the role %s has no keys", name)
	}
	return &creds, nil
}

// awsRegion is the instance's own region, as far as it can be learned.
func (c *Client) awsRegion(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, metadataPatience)
	defer cancel()
	token, err := c.awsToken(ctx)
	if err == nil {
		var region []byte
		if region, err = c.metadata(ctx, "", "/latest/meta-data/placement/region", token...); err == nil {
			return strings.TrimSpace(string(region))
		}
	}
	c.logf("the instance's region is not known: %v", bare(err))
	return partitions["aws"].region
}

// gcs gets an object of Google's storage by its JSON API.
// https://cloud.google.com/storage/docs/json_api/v1/objects/get
func (c *Client) gcs(ctx context.Context, u *url.URL, r provision.Request, w io.Writer) error {
	key := strings.TrimPrefix(u.Path, "/")
	if u.Host == "" || key == "" {
		return errors.New("write gs://BUCKET/OBJECT")
	}
	call := Call{URL: "https://storage.googleapis.com/storage/v1/b/" + url.PathEscape(u.Host) + "/o/" + url.PathEscape(key) + "?alt=media"}
	if c.opt.Platform == "gcp" {
		token, err := c.token(ctx, "/computeMetadata/v1/instance/service-accounts/default/token?scopes="+
			url.QueryEscape("https://www.googleapis.com/auth/devstorage.read_only"), provision.Header{Name: "Metadata-Flavor", Value: "Google"})
		switch {
		case errors.Is(err, provision.ErrNotFound): // no service account
		case err != nil:
			return fmt.Errorf("asking for a token of the service account: %w", err)
		default:
			call.Headers = append(call.Headers, bearer(token))
		}
	}
	return c.do(ctx, call, r, w)
}

func (c *Client) token(ctx context.Context, path string, headers ...provision.Header) (string, error) {
	data, err := c.metadata(ctx, "", path, headers...)
	if err != nil {
		return "", err
	}
	var t struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(data, &t); err != nil {
		return "", err
	}
	if t.AccessToken == "" {
		return "", errors.New("the answer has no token")
	}
	return t.AccessToken, nil
}

func bearer(token string) provision.Header {
	return provision.Header{Name: "Authorization", Value: "Bearer " + token}
}

// isBlob tells whether a URL is that of an object in Azure's storage.
func isBlob(u *url.URL) bool {
	return u.Scheme == "https" && strings.HasSuffix(u.Hostname(), ".blob.core.windows.net")
}

// blob tries to get a blob with the machine's identity. If that does not
// work, the blob may still be public, and done is false.
// https://learn.microsoft.com/azure/storage/blobs/authorize-access-azure-active-directory
func (c *Client) blob(ctx context.Context, r provision.Request, w io.Writer) (done bool, err error) {
	short, cancel := context.WithTimeout(ctx, metadataPatience)
	defer cancel()
	token, err := c.token(short, "/metadata/identity/oauth2/token?api-version=2018-02-01&resource="+
		url.QueryEscape("https://storage.azure.com/"), provision.Header{Name: "Metadata", Value: "true"})
	if err != nil {
		c.logf("the machine has no identity for %s: %v", r.Address(), bare(err))
		return false, nil
	}
	call := Call{URL: r.URL}
	call.Headers = append(r.Headers[:len(r.Headers):len(r.Headers)], bearer(token), provision.Header{Name: "X-Ms-Version", Value: "2021-12-02"})
	counted := &counter{w: w}
	err = c.do(ctx, call, r, counted)
	var refused *StatusError
	if errors.As(err, &refused) && refused.Code < 500 && counted.n == 0 {
		c.logf("the machine's identity has no access to %s: %v", r.Address(), bare(err))
		return false, nil
	}
	return true, err
}

// counter counts what is written.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
