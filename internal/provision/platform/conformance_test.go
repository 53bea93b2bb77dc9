package platform

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/provision"
)

const (
	ign    = `{"ignition":{"version":"3.4.0"}}`
	ign64  = "eyJpZ25pdGlvbiI6eyJ2ZXJzaW9uIjoiMy40LjAifX0="
	ignNUL = ign + "\x00\x00"
)

// ignGz is the config packed.
var ignGz = func() string {
	var b strings.Builder
	z := gzip.NewWriter(&b)
	io.WriteString(z, ign)
	z.Close()
	return b.String()
}()

// rule is what a server of a test answers to a request that it matches.
type rule struct {
	request string // METHOD HOST/PATH?QUERY
	header  string // one that the request must have: Name: value
	status  int    // 0: 200
	body    string
	times   int // 0: always; n: the first n requests
}

// service answers by rules and keeps what it was asked.
type service struct {
	mu    sync.Mutex
	rules []rule
	seen  []string
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := r.Method + " " + r.Host + r.URL.RequestURI()
	s.seen = append(s.seen, asked)
	for i := range s.rules {
		rule := &s.rules[i]
		name, value, _ := strings.Cut(rule.header, ": ")
		if rule.request != asked || rule.times < 0 || rule.header != "" && r.Header.Get(name) != value {
			continue
		}
		if rule.times > 0 {
			if rule.times--; rule.times == 0 {
				rule.times = -1
			}
		}
		if rule.status != 0 {
			w.WriteHeader(rule.status)
		}
		io.WriteString(w, rule.body)
		return
	}
	w.WriteHeader(http.StatusForbidden)
}

// getter asks a server of the test whatever the address, by the rules that
// matter here: statuses that are asked again, 404, other failures.
func getter(t *testing.T, s *service) func(context.Context, Call) ([]byte, error) {
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", server.Listener.Addr().String())
	}}}
	return func(ctx context.Context, c Call) ([]byte, error) {
		for ctx.Err() == nil {
			data, code, err := ask(ctx, client, c)
			switch {
			case err != nil:
				return nil, err
			case code == 200:
				return data, nil
			case code >= 500 || slices.Contains(c.Retry, code):
				continue
			case code == 404:
				return nil, fmt.Errorf("the server: %w", provision.ErrNotFound)
			}
			return nil, fmt.Errorf("the server answers %d", code)
		}
		return nil, ctx.Err()
	}
}

func ask(ctx context.Context, client *http.Client, c Call) ([]byte, int, error) {
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, 0, err
	}
	u.Scheme = "http" // no certificates here
	req, err := http.NewRequestWithContext(ctx, c.Method, u.String(), nil)
	if err != nil {
		return nil, 0, err
	}
	for _, h := range c.Headers {
		req.Header.Set(h.Name, h.Value)
	}
	if c.LowPort {
		req.Header.Set("Low-Port", "yes")
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return data, resp.StatusCode, err
}

func drive(label, kind string, files map[string]string) Drive {
	return Drive{Name: "/dev/x", Label: label, Type: kind, ReadFile: func(name string) ([]byte, error) {
		text, ok := files[name]
		if !ok {
			return nil, fs.ErrNotExist
		}
		return []byte(text), nil
	}}
}

const md = "GET 169.254.169.254"

// TestPlatforms asks each platform as its cloud answers.
func TestPlatforms(t *testing.T) {
	for _, tc := range []struct {
		id, name string
		rules    []rule
		drives   []Drive
		env      Env
		want     string // the config; "": none
		fails    string // part of the error
	}{
		{id: "aliyun", rules: []rule{{request: "GET 100.100.100.200/latest/user-data", body: ign}}, want: ign},
		{id: "aliyun", name: "none", rules: []rule{{request: "GET 100.100.100.200/latest/user-data", status: 404}}},
		{id: "digitalocean", rules: []rule{{request: md + "/metadata/v1/user-data", body: ign}}, want: ign},
		{id: "digitalocean", name: "404", rules: []rule{{request: md + "/metadata/v1/user-data", status: 404}}, fails: "not found"},
		{id: "exoscale", rules: []rule{{request: md + "/1.0/user-data", body: ign}}, want: ign},
		{id: "gcp", rules: []rule{{request: md + "/computeMetadata/v1/instance/attributes/user-data", header: "Metadata-Flavor: Google", body: ign}}, want: ign},
		{id: "gcp", name: "busy", rules: []rule{{request: md + "/computeMetadata/v1/instance/attributes/user-data", status: 503, times: 2}, {request: md + "/computeMetadata/v1/instance/attributes/user-data", body: ign}}, want: ign},
		{id: "hetzner", rules: []rule{{request: md + "/hetzner/v1/userdata", body: ign}}, want: ign},
		{id: "hetzner", name: "refused", fails: "403"},
		{id: "upcloud", rules: []rule{{request: md + "/metadata/v1/user_data", body: ign}}, want: ign},
		{id: "vultr", rules: []rule{{request: md + "/user-data/user-data", body: ign}}, want: ign},
		{id: "packet", rules: []rule{{request: "GET metadata.packet.net/userdata", header: "Accept: */*", body: ign}}, want: ign},
		{id: "packet", name: "404", rules: []rule{{request: "GET metadata.packet.net/userdata", status: 404}}, fails: "not found"},
		{id: "scaleway", rules: []rule{{request: "GET 169.254.42.42/user_data/cloud-init", header: "Low-Port: yes", body: ign}}, want: ign},
		{id: "oraclecloud", rules: []rule{{request: md + "/opc/v2/instance/metadata/user_data", status: 429, times: 1}, {request: md + "/opc/v2/instance/metadata/user_data", header: "Authorization: Bearer Oracle", body: ign64}}, want: ign},
		{id: "oraclecloud", name: "plain", rules: []rule{{request: md + "/opc/v2/instance/metadata/user_data", body: ign}}, fails: "not base64"},

		{id: "akamai", rules: []rule{
			{request: "PUT 169.254.169.254/v1/token", header: "Metadata-Token-Expiry-Seconds: 300", body: "tok"},
			{request: md + "/v1/user-data", header: "Metadata-Token: tok", body: ign64}}, want: ign},
		{id: "akamai", name: "gzip", rules: []rule{
			{request: "PUT 169.254.169.254/v1/token", body: "tok"},
			{request: md + "/v1/user-data", body: b64(ignGz)}}, want: ign},
		{id: "akamai", name: "empty token", rules: []rule{{request: "PUT 169.254.169.254/v1/token"}}, fails: "getting a token: it is empty"},
		{id: "akamai", name: "404", rules: []rule{{request: "PUT 169.254.169.254/v1/token", body: "tok"}, {request: md + "/v1/user-data", status: 404}}, fails: "not found"},

		{id: "aws", rules: []rule{
			{request: "PUT 169.254.169.254/latest/api/token", header: "x-aws-ec2-metadata-token-ttl-seconds: 21600", body: "tok"},
			{request: md + "/2019-10-01/user-data", header: "X-aws-ec2-metadata-token: tok", body: ign}}, want: ign},
		{id: "aws", name: "first version", rules: []rule{
			{request: "PUT 169.254.169.254/latest/api/token", status: 404},
			{request: md + "/2019-10-01/user-data", body: ign}}, want: ign},
		{id: "aws", name: "no token", fails: "getting a token"},
		{id: "aws", name: "none", rules: []rule{{request: "PUT 169.254.169.254/latest/api/token", body: "tok"}, {request: md + "/2019-10-01/user-data", status: 404}}},

		{id: "azure", rules: []rule{
			{request: azureURL, status: 410, times: 2},
			{request: azureURL, header: "Metadata: true", body: ign64}}, want: ign},
		{id: "azure", name: "disc", rules: []rule{{request: azureURL}}, drives: []Drive{
			drive("config-2", "iso9660", map[string]string{"/ovf-env.xml": "", "/CustomData.bin": "no"}),
			drive("rd_rdfe", "udf", map[string]string{"/ovf-env.xml": "<x/>", "/CustomData.bin": ign})}, want: ign},
		{id: "azure", name: "empty disc", rules: []rule{{request: azureURL}}, drives: []Drive{drive("", "udf", map[string]string{"/ovf-env.xml": "<x/>"})}},
		{id: "azurestack", drives: []Drive{drive("", "iso9660", map[string]string{"/ovf-env.xml": "<x/>", "/CustomData.bin": ign})}, want: ign},

		{id: "openstack", rules: []rule{{request: md + "/openstack/latest/user_data", body: ign}}, want: ign},
		{id: "openstack", name: "drive", drives: []Drive{drive("config-2", "iso9660", map[string]string{openstackData: ign})}, want: ign},
		{id: "openstack", name: "DRIVE", drives: []Drive{drive("CONFIG-2", "vfat", map[string]string{openstackData: ign})}, want: ign},
		{id: "openstack", name: "empty drive", drives: []Drive{drive("config-2", "vfat", nil)}},
		{id: "openstack", name: "none", rules: []rule{{request: md + "/openstack/latest/user_data", status: 404}}},
		{id: "openstack", name: "IPv6", env: Env{Cloud: Cloud{Interfaces: names("lo", "eth1")}},
			rules: []rule{{request: "GET [fe80::a9fe:a9fe]/openstack/latest/user_data", body: ign}}, want: ign},
		{id: "openstack", name: "offline", env: Env{Offline: true}, fails: "needs a network"},
		{id: "brightbox", rules: []rule{{request: md + "/openstack/latest/user_data", body: ign}}, want: ign},
		{id: "cloudstack", name: "drive", drives: []Drive{drive("config-2", "iso9660", map[string]string{"/cloudstack/userdata/user_data.txt": ign})}, want: ign},
		{id: "cloudstack", name: "lease", env: Env{Cloud: Cloud{DHCPServer: lease()}}, rules: []rule{{request: "GET 10.1.1.1/latest/user-data", body: ign}}, want: ign},

		{id: "ibmcloud", drives: []Drive{drive("cidata", "iso9660", map[string]string{"/user-data": ign})}, want: ign},
		{id: "ibmcloud", name: "none", drives: []Drive{}},
		{id: "proxmoxve", drives: []Drive{drive("cidata", "iso9660", map[string]string{"/user-data": "#cloud-config\nhostname: x\n", "/vendor-data": ign})}, want: ign},
		{id: "proxmoxve", name: "cloud-config", drives: []Drive{drive("cidata", "iso9660", map[string]string{"/user-data": "#cloud-config\n", "/vendor-data": ""})}},
		{id: "kubevirt", drives: []Drive{drive("cidata", "vfat", map[string]string{"/user-data": ign})}, want: ign},
		{id: "kubevirt", name: "config-2", drives: []Drive{drive("config-2", "iso9660", map[string]string{openstackData: ign})}, want: ign},
		{id: "nutanix", drives: []Drive{drive("config-2", "vfat", map[string]string{openstackData: ign})}, want: ign},
		{id: "powervs", drives: []Drive{drive("config-2", "vfat", map[string]string{openstackData: ign})}, want: ign},
		{id: "nutanix", name: "nothing", fails: "no drives"},

		{id: "nvidiabluefield", env: Env{Sys: fstest.MapFS{"bus/platform/devices/MLNXBF04:00/bootfifo": {Data: []byte(ignNUL)}}}, want: ign},
		{id: "nvidiabluefield", name: "none", env: Env{Sys: fstest.MapFS{}}},
		{id: "qemu", env: Env{Sys: fstest.MapFS{}, Cloud: Cloud{OpenDisk: disk(ignNUL)}}, want: ign},
		{id: "qemu", name: "module", env: Env{Cloud: Cloud{Load: func(string) error { return errors.New("no such device") }}}, fails: "loading the kernel module qemu_fw_cfg: no such device"},
		{id: "applehv", env: Env{Cloud: Cloud{Dial: vsock("HTTP/1.1 500 x\r\nContent-Length: 32\r\n\r\n" + ign)}}, want: ign},
		{id: "applehv", name: "elsewhere", fails: "no vsock"},
		{id: "zvm", env: Env{Cloud: Cloud{Run: cardReaderWith("ORIGINID FILE CLASS RECORDS  CPY HOLD DATE  TIME     NAME      TYPE     DIST\nRSCS 0022 B PUN 12 001 NONE 04/06 11:00:00 kernel img SYSPROG\nRSCS 0023 B PUN 12 001 NONE 04/06 11:00:00 coreos ign SYSPROG\n")}}, want: ign},
		{id: "zvm", name: "none", env: Env{Cloud: Cloud{Run: cardReaderWith("ORIGINID FILE\n")}}},
		{id: "metal"},
	} {
		t.Run(tc.id+"/"+tc.name, func(t *testing.T) {
			s := &service{rules: tc.rules}
			env := tc.env
			if env.Get == nil {
				env.Get = getter(t, s)
			}
			if env.Drives == nil && tc.drives != nil {
				env.Drives = func() ([]Drive, error) { return tc.drives, nil }
			}
			env.Sleep = noSleep
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			got, err := User(ctx, tc.id, env)
			if tc.fails != "" {
				if err == nil || !strings.Contains(err.Error(), tc.fails) {
					t.Fatalf("%+v, %v", got, err)
				}
				return
			}
			if err != nil || string(got.Data) != tc.want {
				t.Fatalf("%q, %v; asked for %q", got.Data, err, s.seen)
			}
			if got.Name == "" {
				t.Error("nobody knows where it came from")
			}
		})
	}
}

func noSleep(ctx context.Context, _ time.Duration) error { return ctx.Err() }

const azureURL = md + "/metadata/instance/compute/userData?api-version=2021-01-01&format=text"

func TestEveryPlatformIsTested(t *testing.T) {
	want := strings.Fields(`akamai aliyun applehv aws azure azurestack brightbox cloudstack digitalocean exoscale file gcp
		hetzner hyperv ibmcloud kubevirt metal nutanix nvidiabluefield openstack oraclecloud packet powervs proxmoxve qemu
		scaleway upcloud virtualbox vmware vultr zvm`)
	if diff := cmp.Diff(want, IDs()); diff != "" {
		t.Error(diff)
	}
}

func names(n ...string) func() ([]string, error) { return func() ([]string, error) { return n, nil } }

// lease appears at the second look.
func lease() func() (string, error) {
	looks := 0
	return func() (string, error) {
		if looks++; looks < 2 {
			return "", nil
		}
		return "10.1.1.1", nil
	}
}

func disk(text string) func(string) (io.ReadCloser, error) {
	return func(serial string) (io.ReadCloser, error) {
		if serial != "ignition" {
			return nil, fs.ErrNotExist
		}
		return io.NopCloser(strings.NewReader(text)), nil
	}
}

func vsock(answer string) func(context.Context, uint32) (io.ReadWriteCloser, error) {
	return func(_ context.Context, port uint32) (io.ReadWriteCloser, error) {
		if port != 1024 {
			return nil, errors.New("wrong port")
		}
		client, server := net.Pipe()
		go func() {
			defer server.Close()
			req, err := http.ReadRequest(newReader(server))
			if err == nil && req.Header.Get("Accept") == "application/json" && req.URL.Path == "/" {
				io.WriteString(server, answer)
			}
		}()
		return client, nil
	}
}

func cardReaderWith(list string) func(context.Context, string, ...string) ([]byte, error) {
	failed := false
	return func(_ context.Context, name string, args ...string) ([]byte, error) {
		switch line := name + " " + strings.Join(args, " "); line {
		case "chccwdev -e 000c":
			if !failed {
				failed = true
				return nil, errors.New("ignored")
			}
			return nil, nil
		case "cio_ignore -r 000c", "udevadm settle":
			return nil, nil
		case "vmur li":
			return []byte(list), nil
		case "vmur re -O 0023":
			return []byte(ignNUL), nil
		default:
			return nil, errors.New("unexpected: " + line)
		}
	}
}
