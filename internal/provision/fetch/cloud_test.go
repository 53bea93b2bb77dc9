package fetch

import (
	"io"
	"net/http"
	"testing"

	"wellcar.dev/internal/provision"
)

func TestGCS(t *testing.T) {
	token := "T"
	c := newCloud(t, map[string]http.HandlerFunc{
		metadataHost: func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Metadata-Flavor") != "Google" || token == "" {
				http.NotFound(w, r)
				return
			}
			io.WriteString(w, `{"access_token":"`+token+`","expires_in":3599,"token_type":"Bearer"}`)
		},
		"storage.googleapis.com": func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Header.Get("Authorization")+".") },
	})
	const object = "GET storage.googleapis.com/storage/v1/b/b/o/dir%2Fa%20b?alt=media"
	const ask = "GET " + metadataHost + "/computeMetadata/v1/instance/service-accounts/default/token?scopes=https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fdevstorage.read_only"
	want(t, c.client("metal"), provision.Request{URL: "gs://b/dir/a%20b"}, ".")
	c.wantAsked(object)
	want(t, c.client("gcp"), provision.Request{URL: "gs://b/dir/a%20b"}, "Bearer T.")
	c.wantAsked(ask, object)
	proxy := "http://proxy.example" // the machine's own metadata is not behind it
	behind, err := c.client("gcp").Configure(provision.FetchSettings{HTTPProxy: &proxy})
	if err != nil {
		t.Fatal(err)
	}
	want(t, behind.(*Client), provision.Request{URL: "gs://b/dir/a%20b"}, "Bearer T.")
	c.wantAsked(ask, object)
	token = ""
	want(t, c.client("gcp"), provision.Request{URL: "gs://b/dir/a%20b"}, ".")
	token = `","x":"`
	refused(t, c.client("gcp"), provision.Request{URL: "gs://b/k"}, "asking for a token of the service account: the answer has no token")
	refused(t, c.client("gcp"), provision.Request{URL: "gs://b"}, "write gs://BUCKET/OBJECT")
}

func TestAzureBlob(t *testing.T) {
	granted := "Bearer T"
	c := newCloud(t, map[string]http.HandlerFunc{
		metadataHost: func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Metadata") != "true" {
				w.WriteHeader(http.StatusBadRequest)
			}
			io.WriteString(w, `{"access_token":"T"}`)
		},
		"a.blob.core.windows.net": func(w http.ResponseWriter, r *http.Request) {
			if got := r.Header.Get("Authorization"); got != granted || got != "" && r.Header.Get("X-Ms-Version") == "" {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			io.WriteString(w, "blob")
		},
	})
	const blob = "a.blob.core.windows.net/c/f?sig=1"
	const ask = "GET " + metadataHost + "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fstorage.azure.com%2F"
	want(t, c.client("azure"), provision.Request{URL: "https://" + blob}, "blob")
	c.wantAsked(ask, "GET "+blob)
	granted = ""
	want(t, c.client("azure"), provision.Request{URL: "https://" + blob}, "blob")
	c.wantAsked(ask, "GET "+blob, "GET "+blob)
	want(t, c.client("metal"), provision.Request{URL: "https://" + blob}, "blob")
	c.wantAsked("GET " + blob)
	delete(c.hosts, metadataHost)
	want(t, c.client("azure"), provision.Request{URL: "https://" + blob}, "blob")
}
