package provision_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/provision"
)

// web serves texts by URL, with what configs say about fetching recorded.
type web struct {
	texts map[string]string
	heard *[]string
	depth string
}

func (w web) Fetch(_ context.Context, r provision.Request, to io.Writer) error {
	*w.heard = append(*w.heard, r.URL+w.depth)
	text, ok := w.texts[r.URL]
	if !ok {
		return fmt.Errorf("fetching %s: %w", r.URL, provision.ErrNotFound)
	}
	if cut, half := strings.CutSuffix(text, "..."); half {
		io.WriteString(to, cut)
		return errors.New("fetching " + r.URL + ": the connection broke")
	}
	if err := provision.Receive(r, strings.NewReader(text), to); err != nil {
		return fmt.Errorf("fetching %s: %w", r.URL, err)
	}
	return nil
}

func (w web) Configure(s provision.FetchSettings) (provision.Fetcher, error) {
	if s.TotalSeconds != nil {
		w.depth = fmt.Sprintf(" total=%d", *s.TotalSeconds)
	}
	for _, ca := range s.Authorities {
		if string(ca) == "bad" {
			return nil, errors.New("this is no certificate")
		}
		w.depth += " ca=" + string(ca)
	}
	return w, nil
}

func newWeb(texts map[string]string) web { return web{texts: texts, heard: new([]string)} }

func TestRender(t *testing.T) {
	w := newWeb(map[string]string{
		"http://h/a":  `{"ignition":{"version":"3.4.0","config":{"merge":[{"source":"http://h/aa"}]}},"storage":{"files":[` + "\n" + `{"path":"/a"}]}}`,
		"http://h/aa": `{"ignition":{"version":"3.0.0"},"storage":{"files":[{"path":"/aa"}]}}`,
		"http://h/b":  `{"ignition":{"version":"3.4.0","timeouts":{"httpTotal":7},"config":{"replace":{"source":"http://h/bb"}}},"storage":{"files":[{"path":"/gone"}]}}`,
		"http://h/bb": `{"ignition":{"version":"3.4.0"},"storage":{"files":[{"path":"/bb","contents":{"source":"http://h/f"}}]}}`,
		"http://h/ca": "CERT",
	})
	c, report := provision.Load("c.ign", []byte(`{"ignition":{"version":"3.4.0",
"security":{"tls":{"certificateAuthorities":[{"source":"http://h/ca"}]}},
"config":{"merge":[{"source":"http://h/a"},
{"source":"http://h/b"}]}}}`), provision.LoadOptions{})
	if err := report.Err(); err != nil {
		t.Fatal(err)
	}
	c, report = c.Render(context.Background(), w)
	if err := report.Err(); err != nil {
		t.Fatal(err)
	}
	order := []string{"http://h/ca", "http://h/a ca=CERT", "http://h/aa ca=CERT", "http://h/b ca=CERT", "http://h/bb total=7"}
	if diff := cmp.Diff(order, clean(*w.heard)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"http://h/a", "http://h/aa", "http://h/b", "http://h/bb"}, c.Referenced); diff != "" {
		t.Error(diff)
	}
	plan, err := c.Plan(provision.DefaultFacts())
	if err != nil {
		t.Fatal(err)
	}
	want := `1  c.ign:3:20 > http://h/a:2:1                         keep or create file   /a                          0644 root:root
2  c.ign:3:20 > http://h/a:1:51 > http://h/aa:1:53     keep or create file   /aa                         0644 root:root
3  c.ign:4:1 > http://h/b:1:79 > http://h/bb:1:53      write file            /bb                         0644 root:root, from http://h/f, without a hash
4  -  write result  /etc/.ignition-result.json  0600 root:root
`
	if diff := cmp.Diff(strings.Fields(want), strings.Fields(provision.Render(plan))); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(string(c.JSON), "data:;base64,Q0VSVA==") && !strings.Contains(string(c.JSON), "Q0VSVA") {
		t.Errorf("the certificate is not embedded: %s", c.JSON)
	}
	if strings.Contains(string(c.JSON), "http://h/a") {
		t.Errorf("references are left: %s", c.JSON)
	}
}

// clean drops what the second of two settings repeats of the first.
func clean(lines []string) []string {
	for i, l := range lines {
		lines[i] = strings.Replace(l, " ca=CERT total=7", " total=7", 1)
	}
	return lines
}

func TestRenderProblems(t *testing.T) {
	w := newWeb(map[string]string{
		"http://h/loop": `{"ignition":{"version":"3.4.0","config":{"replace":{"source":"http://h/loop"}}}}`,
		"http://h/bad":  `{"ignition":{"version":"3.4.0"},` + "\n" + `"storage":{"files":[{"path":"a"}]}}`,
		"http://h/ci":   "#cloud-config\n",
		"http://h/ca":   "bad",
		"http://h/cut":  `{"ignition"...`,
	})
	for name, tc := range map[string]struct{ config, want string }{
		"missing": {`"config":{"merge":[{"source":"http://h/none"}]}`, `c.ign:1:61: merged config http://h/none: fetching http://h/none: not found`},
		"cut":     {`"config":{"merge":[{"source":"http://h/cut"}]}`, `c.ign:1:61: merged config http://h/cut: fetching http://h/cut: the connection broke`},
		"loop":    {`"config":{"replace":{"source":"http://h/loop"}}`, `c.ign:1:52 > http://h/loop:1:62: the configs refer to each other in a circle; drop one of the references`},
		"bad":     {`"config":{"replace":{"source":"http://h/bad"}}`, `c.ign:1:52 > http://h/bad:2:29: file a: the path is not absolute; begin it with /`},
		"cloud":   {`"config":{"replace":{"source":"http://h/ci"}}`, `c.ign:1:52 > http://h/ci: it is no Ignition config`},
		"hash": {`"config":{"replace":{"source":"http://h/ci","verification":{"hash":"sha256-` + strings.Repeat("0", 64) + `"}}}`,
			`c.ign:1:99: fetching http://h/ci: the content has another sha256: e8f1f6dd1ad5b76ad28d2ff8a3d1c72c4a2e2a2a4e0b3b1c3e2b8a1a3a6a0a8e`},
		"empty": {`"config":{"replace":{"source":"data:,"}}`, `c.ign:1:62: the config that replaces this one is empty; give it contents, or drop replace`},
		"ca":    {`"security":{"tls":{"certificateAuthorities":[{"source":"http://h/ca"}]}}`, `c.ign:1:76: this is no certificate; correct the settings`},
	} {
		t.Run(name, func(t *testing.T) {
			c, report := provision.Load("c.ign", []byte(`{"ignition":{"version":"3.4.0",`+tc.config+`}}`), provision.LoadOptions{})
			if err := report.Err(); err != nil {
				t.Fatal(err)
			}
			_, report = c.Render(context.Background(), w)
			got := fmt.Sprint(report.Err())
			if at, _, ok := strings.Cut(tc.want, "another sha256: "); ok {
				tc.want, got = at, got[:min(len(at), len(got))]
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
			if name == "missing" && !errors.Is(report, provision.ErrNotFound) {
				t.Error("the cause is lost")
			}
		})
	}
}

func TestWithoutReferences(t *testing.T) {
	c, _ := provision.Load("c.ign", []byte(`{"ignition":{"version":"3.4.0","config":{"merge":[{"source":"http://h/none"}]}},"storage":{"files":[{"path":"/a"}]}}`), provision.LoadOptions{})
	if _, err := c.WithoutReferences().Plan(provision.DefaultFacts()); err != nil {
		t.Error(err)
	}
	if _, err := c.Plan(provision.DefaultFacts()); !errors.Is(err, provision.ErrNeedsNetwork) {
		t.Errorf("planned without its reference: %v", err)
	}
}

// away is a fetcher without a network.
type away struct{}

func (away) Fetch(_ context.Context, r provision.Request, _ io.Writer) error {
	if strings.HasPrefix(r.URL, "oem:") {
		return fmt.Errorf("fetching %s: %w", r.URL, provision.ErrNoOEM)
	}
	return fmt.Errorf("fetching %s: %w", r.URL, provision.ErrNeedsNetwork)
}

const offline = `{"ignition":{"version":"3.4.0","config":{"merge":[{"source":"http://h/a"},
{"source":"data:,%7B%22ignition%22:%7B%22version%22:%223.4.0%22%7D,%22storage%22:%7B%22files%22:%5B%7B%22path%22:%22/b%22%7D%5D%7D%7D"},
{"source":"oem:///x"}]},
"security":{"tls":{"certificateAuthorities":[{"source":"http://h/ca"}]}}}}`

func TestRenderWithout(t *testing.T) {
	c, _ := provision.Load("c.ign", []byte(offline), provision.LoadOptions{})
	got, report := c.RenderWithout(t.Context(), away{}, provision.ErrNeedsNetwork, provision.ErrNoOEM)
	var places []string
	for _, p := range report {
		places = append(places, fmt.Sprint(p.Severity, " ", p.Position))
	}
	if diff := cmp.Diff([]string{"warning c.ign:1:61", "warning c.ign:3:11", "warning c.ign:4:56"}, places); diff != "" {
		t.Error(diff)
	}
	if files := got.Ignition.Storage.Files; len(files) != 1 || files[0].Path != "/b" {
		t.Errorf("the embedded config is lost: %v", files)
	}
	for name, text := range map[string]string{
		"a config that is wrong": strings.Replace(offline, "/b%22", "b%22", 1),
	} {
		c, _ := provision.Load("c.ign", []byte(text), provision.LoadOptions{})
		if _, report := c.RenderWithout(t.Context(), away{}, provision.ErrNeedsNetwork, provision.ErrNoOEM); report.Err() == nil {
			t.Errorf("%s passed", name)
		}
		if found := c.CheckEmbedded(); found.Err() == nil || len(found) != 1 {
			t.Errorf("%s: the check of what is embedded found %v", name, found)
		}
	}
	if _, report := c.RenderWithout(t.Context(), away{}, provision.ErrNoOEM); report.Err() == nil {
		t.Error("what is not spared passed")
	}
	c, _ = provision.Load("c.ign", []byte(`{"ignition":{"version":"3.4.0","config":{"replace":{"source":"http://h/a"}}},"storage":{"files":[{"path":"/gone"}]}}`), provision.LoadOptions{})
	if got, _ := c.RenderWithout(t.Context(), away{}, provision.ErrNeedsNetwork); len(got.Ignition.Storage.Files) > 0 {
		t.Error("a config that is replaced stayed")
	}
}

// TestOEMSources are sources that need no network, but an absolute path.
func TestOEMSources(t *testing.T) {
	c, _ := provision.Load("c.ign", []byte(`{"ignition":{"version":"3.4.0"},"storage":{"files":[{"path":"/a","contents":{"source":"oem:///foo"}}]}}`), provision.LoadOptions{})
	if _, err := c.Plan(provision.DefaultFacts()); err != nil || provision.NeedsNetwork(c) {
		t.Error("a file of the OEM partition needs a network", err)
	}
	c, _ = provision.Load("c.ign", []byte(`{"ignition":{"version":"3.4.0"},"storage":{"files":[{"path":"/a","contents":{"source":"oem://foo"}}]}}`), provision.LoadOptions{})
	if _, err := c.Plan(provision.DefaultFacts()); err == nil || !strings.Contains(err.Error(), "file /a: the path on the OEM partition is not absolute") {
		t.Error(err)
	}
}
