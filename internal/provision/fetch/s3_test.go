package fetch

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/provision"
)

// cloud is all hosts of the world on one server, with and without TLS, with a
// certificate for each name.
type cloud struct {
	t     *testing.T
	mu    sync.Mutex
	asked []string
	hosts map[string]http.HandlerFunc
	plain *httptest.Server
	safe  *httptest.Server
	key   *ecdsa.PrivateKey
	roots *x509.CertPool
	root  *x509.Certificate
}

func newCloud(t *testing.T, hosts map[string]http.HandlerFunc) *cloud {
	c := &cloud{t: t, hosts: hosts, roots: x509.NewCertPool()}
	c.key, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	c.root = c.certificate("root", nil)
	c.roots.AddCert(c.root)
	c.plain = httptest.NewServer(c)
	c.safe = httptest.NewUnstartedServer(c)
	c.safe.TLS = &tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		return &tls.Certificate{Certificate: [][]byte{c.certificate(h.ServerName, c.root).Raw}, PrivateKey: c.key}, nil
	}}
	c.safe.StartTLS()
	t.Cleanup(c.plain.Close)
	t.Cleanup(c.safe.Close)
	return c
}

func (c *cloud) certificate(name string, parent *x509.Certificate) *x509.Certificate {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{name},
		IsCA: parent == nil, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &c.key.PublicKey, c.key)
	if err != nil {
		panic(err)
	}
	cert, _ := x509.ParseCertificate(der)
	return cert
}

func (c *cloud) dial(ctx context.Context, network, address string) (net.Conn, error) {
	server := c.plain
	if strings.HasSuffix(address, ":443") {
		server = c.safe
	}
	return (&net.Dialer{}).DialContext(ctx, network, server.Listener.Addr().String())
}

func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	c.asked = append(c.asked, r.Method+" "+r.Host+r.URL.RequestURI())
	c.mu.Unlock()
	h, ok := c.hosts[r.Host]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h(w, r)
}

func (c *cloud) client(platform string) *Client {
	return newClient(c.t, Options{Platform: platform, Dial: c.dial, Roots: func() (*x509.CertPool, error) { return c.roots, nil }})
}

func (c *cloud) wantAsked(asked ...string) {
	c.t.Helper()
	if diff := cmp.Diff(asked, c.asked); diff != "" {
		c.t.Error(diff)
	}
	c.asked = nil
}

// instance is the metadata service of AWS.
func instance(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPut {
		if r.Header.Get("X-aws-ec2-metadata-token-ttl-seconds") != "21600" {
			w.WriteHeader(http.StatusBadRequest)
		}
		io.WriteString(w, "TOKEN")
		return
	}
	if r.Header.Get("X-aws-ec2-metadata-token") != "TOKEN" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	io.WriteString(w, map[string]string{
		"/latest/meta-data/iam/security-credentials/":         "a role\n",
		"/latest/meta-data/iam/security-credentials/a%20role": `{"Code":"Success","AccessKeyId":"AKID","SecretAccessKey":"SECRET","Token":"SESSION"}`,
		"/latest/meta-data/placement/region":                  "eu-central-1",
	}[r.URL.EscapedPath()])
}

// bucket is one of S3 in a region. Requests must be signed by the role of the
// instance, as another implementation signs, unless it is public.
func bucket(t *testing.T, region string, public bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Amz-Bucket-Region", region)
		if r.Method == http.MethodHead {
			w.WriteHeader(http.StatusMovedPermanently)
			return
		}
		if got := r.Header.Get("Authorization"); public && got == "" || got == reference(t, r, region) {
			io.WriteString(w, "object "+r.URL.RequestURI())
			return
		}
		w.WriteHeader(http.StatusForbidden)
		io.WriteString(w, `<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>`)
	}
}

// reference is the signature that the SDK makes for a request.
func reference(t *testing.T, r *http.Request, region string) string {
	stamp, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil {
		return "no date"
	}
	again, _ := http.NewRequest(r.Method, "https://"+r.Host+r.URL.RequestURI(), nil)
	again.Header.Set("X-Amz-Content-Sha256", emptyBody)
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	err = signer.SignHTTP(context.Background(), aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "SECRET", SessionToken: "SESSION"}, again, emptyBody, "s3", region, stamp)
	if err != nil {
		t.Error(err)
	}
	return strings.ReplaceAll(again.Header.Get("Authorization"), ", ", ",")
}

func TestS3Signed(t *testing.T) {
	const ask, dual = "s3.dualstack.eu-central-1.amazonaws.com", ".s3.dualstack.eu-west-2.amazonaws.com"
	c := newCloud(t, map[string]http.HandlerFunc{metadataHost: instance, ask: bucket(t, "eu-west-2", false), "b" + dual: bucket(t, "eu-west-2", false),
		"s3.dualstack.eu-west-2.amazonaws.com":                        bucket(t, "eu-west-2", false),
		"ap-123.s3-accesspoint.dualstack.cn-north-1.amazonaws.com.cn": bucket(t, "cn-north-1", false)})
	client := c.client("aws")
	want(t, client, provision.Request{URL: "s3://b/dir/a key+%C3%A9?versionId=V/1"}, "object /dir/a%20key%2B%C3%A9?versionId=V%2F1")
	c.wantAsked("PUT "+metadataHost+"/latest/api/token", "GET "+metadataHost+"/latest/meta-data/iam/security-credentials/",
		"GET "+metadataHost+"/latest/meta-data/iam/security-credentials/a%20role", "PUT "+metadataHost+"/latest/api/token",
		"GET "+metadataHost+"/latest/meta-data/placement/region", "HEAD "+ask+"/b", "GET b"+dual+"/dir/a%20key%2B%C3%A9?versionId=V%2F1")
	want(t, client, provision.Request{URL: "s3://dotted.b/k"}, "object /dotted.b/k")
	want(t, client, provision.Request{URL: "arn:aws-cn:s3:cn-north-1:123:accesspoint/ap/object/d/k"}, "object /d/k")
	refused(t, client, provision.Request{URL: "s3://none/k"}, "the server answers 404")
}

func TestS3Anonymous(t *testing.T) {
	gov := "s3.dualstack.us-gov-west-1.amazonaws.com"
	c := newCloud(t, map[string]http.HandlerFunc{gov: bucket(t, "us-gov-east-1", true), "b.s3.dualstack.us-gov-east-1.amazonaws.com": bucket(t, "us-gov-east-1", true),
		"s3.dualstack.us-east-1.amazonaws.com": bucket(t, "us-east-1", false), "b.s3.dualstack.us-east-1.amazonaws.com": bucket(t, "us-east-1", false)})
	want(t, c.client("metal"), provision.Request{URL: "arn:aws-us-gov:s3:::b/k"}, "object /k")
	c.wantAsked("HEAD "+gov+"/b", "GET b.s3.dualstack.us-gov-east-1.amazonaws.com/k")
	refused(t, c.client("metal"), provision.Request{URL: "s3://b/k"}, "fetching s3://b/k: the server answers 403 Forbidden: AccessDenied: Access Denied")
	c.asked = nil
	refused(t, c.client("aws"), provision.Request{URL: "s3://b/k"}, "AccessDenied") // no metadata: no role, no region
	c.wantAsked("PUT "+metadataHost+"/latest/api/token", "GET "+metadataHost+"/latest/meta-data/iam/security-credentials/",
		"PUT "+metadataHost+"/latest/api/token", "GET "+metadataHost+"/latest/meta-data/placement/region",
		"HEAD s3.dualstack.us-east-1.amazonaws.com/b", "GET b.s3.dualstack.us-east-1.amazonaws.com/k")
}

// The example "GET Object" of
// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
func TestSignDocumented(t *testing.T) {
	req, _ := http.NewRequest("GET", "https://examplebucket.s3.amazonaws.com/test.txt", nil)
	req.Header.Set("Range", "bytes=0-9")
	sign(req, credentials{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}, "us-east-1", time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC))
	want := "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
	if diff := cmp.Diff(want, req.Header.Get("Authorization")); diff != "" {
		t.Error(diff)
	}
}

func TestParseObject(t *testing.T) {
	for in, want := range map[string]string{
		"s3://b/k":                          "b..k us-east-1",
		"s3://b/k/l%2Fm?x":                  "b..k/l/m us-east-1",
		"arn:aws-cn:s3:::b/k:l?versionId=1": "b..k:l cn-north-1 1",
		"arn:aws:s3:eu-x-1:12:accesspoint/a/object/k/l": "a.12.k/l eu-x-1",
		"s3://b":                              "write s3://BUCKET/KEY or the ARN of an object",
		"s3:///k":                             "write s3://BUCKET/KEY or the ARN of an object",
		"s3://b@evil/k":                       "write s3://BUCKET/KEY or the ARN of an object",
		"arn:aws:sqs:::b/k":                   "this is not the ARN of an object of S3",
		"arn:aws-eu:s3:::b/k":                 "the partition aws-eu of AWS is not known",
		"arn:aws:s3:::accesspoint/a/object/k": "the ARN of an access point needs a region and an account",
		"arn:aws:s3:r:1:accesspoint/a/k":      "write arn:...:accesspoint/NAME/object/KEY",
	} {
		o, err := parseObject(in)
		got := strings.TrimSpace(fmt.Sprintf("%s.%s.%s %s %s", o.bucket, o.account, o.key, o.region, o.version))
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", in, got, want)
		}
	}
}

func FuzzParseObject(f *testing.F) {
	for _, s := range []string{"s3://b/k", "arn:aws-cn:s3:::b/k:l?versionId=1", "arn:aws:s3:eu-x-1:12:accesspoint/a/object/k/l"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		o, err := parseObject(text)
		if err != nil {
			return
		}
		u, err := url.Parse(o.address())
		if err != nil {
			t.Fatalf("%q gives the address %q: %v", text, o.address(), err)
		}
		if host, _ := o.host(); u.Host != host || !strings.HasSuffix(u.Hostname(), "."+o.suffix) {
			t.Errorf("%q leads to %q", text, u.Host)
		}
	})
}
