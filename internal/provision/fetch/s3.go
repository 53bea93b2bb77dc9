package fetch

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"wellcar.dev/internal/provision"
)

// partition is a part of AWS with accounts of its own.
type partition struct{ suffix, region string } // of host names; asked first

// https://docs.aws.amazon.com/whitepapers/latest/aws-fault-isolation-boundaries/partitions.html
var partitions = map[string]partition{
	"aws":        {"amazonaws.com", "us-east-1"},
	"aws-cn":     {"amazonaws.com.cn", "cn-north-1"},
	"aws-us-gov": {"amazonaws.com", "us-gov-west-1"},
}

// object names an object of S3.
type object struct {
	partition
	bucket  string // or the name of an access point
	account string // of the access point; empty: it is a bucket
	key     string
	version string
}

// parseObject reads s3://BUCKET/KEY, arn:PARTITION:s3:::BUCKET/KEY and
// arn:PARTITION:s3:REGION:ACCOUNT:accesspoint/NAME/object/KEY, each with
// ?versionId=.
func parseObject(raw string) (object, error) {
	text, query, _ := strings.Cut(raw, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		return object{}, fmt.Errorf("reading what follows the question mark: %w", err)
	}
	o, err := parsePlace(text)
	if err != nil {
		return o, err
	}
	o.version = values.Get("versionId")
	if o.bucket == "" || o.key == "" || strings.ContainsAny(o.bucket+o.account+o.region, "/@:#\\ %") {
		return o, errors.New("write s3://BUCKET/KEY or the ARN of an object")
	}
	return o, nil
}

func parsePlace(text string) (object, error) {
	if rest, ok := strings.CutPrefix(text, "s3://"); ok {
		bucket, key, _ := strings.Cut(rest, "/")
		key, err := url.PathUnescape(key)
		return object{partition: partitions["aws"], bucket: bucket, key: key}, err
	}
	f := strings.SplitN(text, ":", 6)
	if len(f) < 6 || f[0] != "arn" || f[2] != "s3" {
		return object{}, errors.New("this is not the ARN of an object of S3")
	}
	part, ok := partitions[f[1]]
	if !ok {
		return object{}, fmt.Errorf("the partition %s of AWS is not known", f[1])
	}
	o := object{partition: part}
	if rest, ok := strings.CutPrefix(f[5], "accesspoint/"); ok {
		o.region, o.account = f[3], f[4]
		if o.region == "" || o.account == "" {
			return o, errors.New("the ARN of an access point needs a region and an account")
		}
		o.bucket, rest, _ = strings.Cut(rest, "/")
		o.key, ok = strings.CutPrefix(rest, "object/")
		if !ok {
			return o, errors.New("write arn:...:accesspoint/NAME/object/KEY")
		}
		return o, nil
	}
	o.bucket, o.key, _ = strings.Cut(f[5], "/")
	return o, nil
}

// host is the name of the server, and whether it stands for the bucket.
func (o object) host() (name string, stands bool) {
	switch {
	case o.account != "":
		return o.bucket + "-" + o.account + ".s3-accesspoint.dualstack." + o.region + "." + o.suffix, true
	case strings.Contains(o.bucket, ".") || strings.ToLower(o.bucket) != o.bucket:
		return "s3.dualstack." + o.region + "." + o.suffix, false // no certificate fits such a name
	}
	return o.bucket + ".s3.dualstack." + o.region + "." + o.suffix, true
}

// address is the URL of the object.
func (o object) address() string {
	host, stands := o.host()
	path := "/" + escapePath(o.key)
	if !stands {
		path = "/" + o.bucket + path
	}
	if o.version != "" {
		path += "?versionId=" + escape(o.version)
	}
	return "https://" + host + path
}

// s3 gets an object, signed if the machine has a role.
func (c *Client) s3(ctx context.Context, r provision.Request, w io.Writer) error {
	o, err := parseObject(r.URL)
	if err != nil {
		return err
	}
	var creds *credentials
	if c.opt.Platform == "aws" {
		if creds, err = c.awsCredentials(ctx); err != nil {
			return fmt.Errorf("asking for the credentials of the instance's role: %w", err)
		}
	}
	if o.account == "" {
		if o.region, err = c.bucketRegion(ctx, o, strings.HasPrefix(r.URL, "s3:")); err != nil {
			return fmt.Errorf("asking for the region of the bucket %s: %w", o.bucket, err)
		}
	}
	call := Call{URL: o.address(), detail: s3Refusal}
	if creds != nil {
		call.sign = func(req *http.Request) error {
			sign(req, *creds, o.region, time.Now())
			return nil
		}
	}
	return c.do(ctx, call, r, w)
}

// s3Refusal finds the sentence in an answer of S3.
// https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
func s3Refusal(body io.Reader) string {
	var e struct{ Code, Message string }
	if xml.NewDecoder(body).Decode(&e) != nil || e.Code == "" {
		return ""
	}
	return e.Code + ": " + e.Message
}

// bucketRegion asks where a bucket is; any region of its partition knows.
func (c *Client) bucketRegion(ctx context.Context, o object, near bool) (string, error) {
	if near && c.opt.Platform == "aws" {
		o.region = c.awsRegion(ctx)
	}
	host := "s3.dualstack." + o.region + "." + o.suffix
	u := "https://" + host + "/" + o.bucket
	region, err := c.askRegion(ctx, u)
	if err == nil && region == "" {
		region = o.region
	}
	return region, err
}

// askRegion reads the header that answers of each kind have.
func (c *Client) askRegion(ctx context.Context, u string) (region string, err error) {
	wait := backoff{}
	for {
		region, err = c.regionOnce(ctx, u)
		if err == nil || !again(err, nil) {
			return region, err
		}
		c.logf("%s does not answer yet: %v", u, bare(err))
		if stopped := wait.sleep(ctx); stopped != nil {
			return "", fmt.Errorf("%w, at last because: %w", stopped, bare(err))
		}
	}
}

func (c *Client) regionOnce(ctx context.Context, u string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, u, nil)
	if err != nil {
		return "", finalError{err}
	}
	setHeaders(req, nil)
	resp, err := c.http.Transport.RoundTrip(req) // without following redirects
	if err != nil {
		return "", timeout(ctx, err)
	}
	resp.Body.Close()
	region := resp.Header.Get("X-Amz-Bucket-Region")
	if region == "" && (resp.StatusCode >= 500 || resp.StatusCode == http.StatusNotFound) {
		return "", &StatusError{Code: resp.StatusCode, Status: resp.Status}
	}
	if strings.Trim(region, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return "", finalError{fmt.Errorf("the server names a region %q", region)}
	}
	return region, nil
}
