//go:build linux

package update

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wellcar.dev/internal/format/omaha"
)

// TestOneFileServer updates from a server that knows one file for each
// version, under a name of its own, and answers as Nebraska does.
func TestOneFileServer(t *testing.T) {
	one, two := makeImage(t, "1.0.0"), makeImage(t, "1.1.0")
	p := newPublisher(t)
	dir := p.Publish(t, two)
	packed(t, dir, filepath.Join(dir, "flatcar-amd64-1.1.0.gz"))
	data, err := os.ReadFile(filepath.Join(dir, "flatcar-amd64-1.1.0.gz"))
	if err != nil {
		t.Fatal(err)
	}
	short, long := sha1.Sum(data), sha256.Sum256(data)
	var events []string
	mux := http.NewServeMux()
	mux.HandleFunc("/v1/update/", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		req, err := omaha.DecodeRequest(body)
		if err != nil {
			t.Error(err)
			return
		}
		for _, e := range req.Apps[0].Events {
			events = append(events, fmt.Sprintf("%d/%d", e.Type, e.Result))
		}
		if req.Apps[0].UpdateCheck == nil {
			fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?>
<response protocol="3.0" server="nebraska"><daystart elapsed_seconds="0"></daystart><app appid="%s" status="ok"><event status="ok"></event></app></response>`, req.Apps[0].ID)
			return
		}
		fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?>
<response protocol="3.0" server="nebraska"><daystart elapsed_seconds="0"></daystart><app appid="{e96281a6-d1af-4bde-9a0a-97b76e56dc57}" status="ok"><ping status="ok"></ping><updatecheck status="ok"><urls><url codebase="http://%s/flatcar"></url></urls><manifest version="1.1.0"><packages><package name="flatcar-amd64-1.1.0.gz" hash="%s" size="%d" required="true"></package></packages><actions><action event="postinstall" sha256="%s" DisablePayloadBackoff="true"></action></actions></manifest></updatecheck><event status="ok"></event></app></response>`,
			r.Host, base64.StdEncoding.EncodeToString(short[:]), len(data), base64.StdEncoding.EncodeToString(long[:]))
	})
	mux.HandleFunc("/flatcar/flatcar-amd64-1.1.0.gz", func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(data)))
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	b := newBox(t, one, p.Trust)
	write(t, b.root, "etc/flatcar/update.conf", []byte("SERVER="+server.URL+"/v1/update/\n"))
	s, states := b.service()
	if seen := b.attempt(s, states); seen[len(seen)-1] != "UPDATED_NEED_REBOOT" {
		t.Fatalf("%v: %s", seen, s.LastError())
	}
	b.sameSlot("dev/vda4", two)
	if got := strings.Join(events, " "); got != "3/2 13/1 14/1 3/1" {
		t.Errorf("events %s", got)
	}
}

// TestRefusals reads answers of Nebraska that are neither an update nor none.
func TestRefusals(t *testing.T) {
	for status, want := range map[string]string{
		"error-failedToRetrieveUpdatePackageInfo": "asking for updates as group canary: the server does not know the group or the application (error-failedToRetrieveUpdatePackageInfo)",
		"error-updatesDisabled":                   "asking for updates as group canary: updates of the group are disabled, or not made at this hour (error-updatesDisabled)",
		"error-new":                               "asking for updates as group canary: the server refuses (error-new)",
		"ok":                                      "asking for updates as group canary: the server refuses (error-internal)",
	} {
		r, err := omaha.DecodeResponse(fmt.Appendf(nil, `<?xml version="1.0" encoding="UTF-8"?>
<response protocol="3.0" server="nebraska"><daystart elapsed_seconds="0"></daystart><app appid="%s" status="%s"><updatecheck status="error-internal"><urls></urls></updatecheck></app></response>`, omaha.AppID, status))
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := ReadOffer(r, Identity{AppID: omaha.AppID, Group: "canary"}); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", status, err, want)
		}
	}
}
