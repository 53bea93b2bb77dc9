package fetch

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"time"
)

// credentials sign requests to AWS.
type credentials struct {
	AccessKeyID     string `json:"AccessKeyId"`
	SecretAccessKey string
	Token           string
}

// The digest of an empty body.
const emptyBody = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// sign adds the headers of signature version 4 to a request without a body.
// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
func sign(req *http.Request, c credentials, region string, now time.Time) {
	stamp := now.UTC().Format("20060102T150405Z")
	req.Header.Set("X-Amz-Date", stamp)
	req.Header.Set("X-Amz-Content-Sha256", emptyBody)
	if c.Token != "" {
		req.Header.Set("X-Amz-Security-Token", c.Token)
	}
	canonical, signed := canonicalRequest(req)
	scope := stamp[:8] + "/" + region + "/s3/aws4_request"
	text := "AWS4-HMAC-SHA256\n" + stamp + "\n" + scope + "\n" + hexSHA256(canonical)
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+c.AccessKeyID+"/"+scope+
		",SignedHeaders="+signed+",Signature="+signature(c, scope, text))
}

func signature(c credentials, scope, text string) string {
	key := []byte("AWS4" + c.SecretAccessKey)
	for part := range strings.SplitSeq(scope, "/") {
		key = hmacSHA256(key, part)
	}
	return hex.EncodeToString(hmacSHA256(key, text))
}

// canonicalRequest is the text that is signed, and the headers in it: host,
// range and those of AWS.
func canonicalRequest(req *http.Request) (text, signed string) {
	values := map[string]string{"host": req.Host}
	if req.Host == "" {
		values["host"] = req.URL.Host
	}
	for name, v := range req.Header {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "x-amz-") || lower == "range" {
			values[lower] = strings.TrimSpace(strings.Join(v, ","))
		}
	}
	var names []string
	for n := range values {
		names = append(names, n)
	}
	slices.Sort(names)
	var b strings.Builder
	b.WriteString(req.Method + "\n" + escapePath(req.URL.Path) + "\n" + canonicalQuery(req) + "\n")
	for _, n := range names {
		b.WriteString(n + ":" + values[n] + "\n")
	}
	signed = strings.Join(names, ";")
	b.WriteString("\n" + signed + "\n" + req.Header.Get("X-Amz-Content-Sha256"))
	return b.String(), signed
}

func canonicalQuery(req *http.Request) string {
	var pairs []string
	for name, values := range req.URL.Query() {
		for _, v := range values {
			pairs = append(pairs, escape(name)+"="+escape(v))
		}
	}
	slices.Sort(pairs)
	return strings.Join(pairs, "&")
}

// escape is the URI encoding that AWS signs: all but letters, digits, - . _ ~.
func escape(s string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("-._~", c) >= 0:
			b.WriteByte(c)
		default:
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		}
	}
	return b.String()
}

// escapePath escapes all but the slashes.
func escapePath(s string) string { return strings.ReplaceAll(escape(s), "%2F", "/") }

func hmacSHA256(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func hexSHA256(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
