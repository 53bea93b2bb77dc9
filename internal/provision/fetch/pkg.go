// Package fetch gets the resources that a config names: http, https, tftp,
// s3 and the arn of S3 objects, gs, data, oem and the blobs of Azure. Content
// is streamed; what is kept in memory does not depend on its size.
//
// A server that answers 5xx or not at all is asked again: after 200 ms, then
// after twice as long each time up to 5 s, until the total timeout of the
// resource, which by default there is not. Other codes below 500 end it at
// once. A body that breaks off is fetched again and continued where it broke,
// after its beginning was seen to be the same; a server that breaks off
// several times at one place has failed.
//
// Proxies are only those of the config, never of the environment. The headers
// that a config gives are not sent on after a redirect.
//
// Rules: https://coreos.github.io/ignition/operator-notes/ and the
// configuration specifications there.
//
//	c := fetch.New(fetch.Options{Platform: "aws"})
//	err := c.Fetch(ctx, provision.Request{URL: "s3://bucket/key"}, w)
package fetch
