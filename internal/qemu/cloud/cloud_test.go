package cloud

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"wellcar.dev/internal/format/fat"
)

const table = `
platform: openstack
requests:
  - request: PUT /token
    body: tok
  - request: GET /data?format=text
    header: "X-Token: tok"
    body: ${config64}
  - request: GET /data?format=text
    status: 401
drive:
  label: config-2
  files:
    openstack/latest/user_data: ${config}
    openstack/latest/meta_data.json: '{"key":"${key}"}'
`

func TestCloud(t *testing.T) {
	c, err := Parse("t.yaml", []byte(table))
	if err != nil {
		t.Fatal(err)
	}
	s, err := Serve(c.Fill([]byte("{}"), "ssh-ed25519 A"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, tc := range []struct {
		method, path, token string
		code                int
		body                string
	}{
		{"PUT", "/token", "", 200, "tok"}, {"GET", "/data?format=text", "tok", 200, "e30="},
		{"GET", "/data?format=text", "", 401, ""}, {"GET", "/data", "tok", 404, "404 page not found\n"},
	} {
		req, _ := http.NewRequest(tc.method, "http://"+s.Addr+tc.path, nil)
		req.Header.Set("X-Token", tc.token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != tc.code || string(body) != tc.body {
			t.Errorf("%s %s: %d %q", tc.method, tc.path, resp.StatusCode, body)
		}
	}
	image, err := c.Fill([]byte("{}"), "ssh-ed25519 A").Drive.Image()
	if err != nil {
		t.Fatal(err)
	}
	f, err := fat.Open(bytes.NewReader(image))
	if err != nil {
		t.Fatal(err)
	}
	text, err := f.ReadFile("openstack/latest/meta_data.json")
	if err != nil || string(text) != `{"key":"ssh-ed25519 A"}` || f.Label() != "config-2" {
		t.Errorf("%q %q %v", f.Label(), text, err)
	}
}

func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"requests: [{request: /x}]": `request "/x": write METHOD /PATH`, "reqs: []": "field reqs not found",
	} {
		if _, err := Parse("t.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
