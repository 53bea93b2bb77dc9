package origin

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/provision"
)

func TestParseWords(t *testing.T) {
	for line, want := range map[string]Words{
		"quiet": {},
		"ignition.config.url=http://a/1 ignition.config.url=http://a/2":             {URL: "http://a/2"},
		"ignition.config.url=http://a/1 ignition.config.url=":                       {URL: "http://a/1"},
		"ignition.config.url=nothing flatcar.config.url=http://f/":                  {URL: "http://f/"},
		"coreos.config.url=oem:///x":                                                {URL: "oem:///x"},
		"ignition.config.device=CFG ignition.config.path=/a/b":                      {Device: "CFG", Path: "/a/b"},
		"ignition.config.device=A ignition.config.device=B ignition.config.path=/c": {Device: "B", Path: "/c"},
	} {
		if diff := cmp.Diff(want, ParseWords(line)); diff != "" {
			t.Errorf("%s: %s", line, diff)
		}
	}
}

type texts map[string]string

func (t texts) Fetch(_ context.Context, r provision.Request, w io.Writer) error {
	if _, ok := t[r.URL]; !ok {
		return provision.ErrNeedsNetwork
	}
	_, err := io.WriteString(w, t[r.URL])
	return err
}

func TestFindByWords(t *testing.T) {
	ctx := context.Background()
	read := func(_ context.Context, label, name string) ([]byte, error) { return []byte(label + ":" + name), nil }
	f := texts{"http://a/1": "one"}
	if _, ok, err := (Words{}).Find(ctx, f, read); ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
	got, ok, err := Words{URL: "http://a/1", Device: "D", Path: "p"}.Find(ctx, f, read)
	if !ok || err != nil || string(got.Data) != "one" {
		t.Errorf("%s, %v, %v", got.Data, ok, err)
	}
	if _, _, err := (Words{URL: "http://b"}).Find(ctx, f, read); !errors.Is(err, provision.ErrNeedsNetwork) {
		t.Errorf("%v", err)
	}
	if got, _, err = (Words{Device: "D", Path: "p"}).Find(ctx, f, read); err != nil || string(got.Data) != "D:p" || got.Name != "/p on D" {
		t.Errorf("%+v, %v", got, err)
	}
	for _, w := range []Words{{Device: "D"}, {Path: "p"}, {Device: "a/b", Path: "p"}, {Device: "..", Path: "p"}} {
		if _, ok, err := w.Find(ctx, f, read); !ok || err == nil {
			t.Errorf("%+v: %v, %v", w, ok, err)
		}
	}
}

func TestDirectories(t *testing.T) {
	dir := t.TempDir()
	d := Directories{filepath.Join(dir, "run"), filepath.Join(dir, "etc"), filepath.Join(dir, "usr")}
	for name, text := range map[string]string{
		"usr/base.d/20.ign": "usr 20", "usr/base.d/10.ign": "usr 10", "run/base.d/20.ign": "run 20",
		"etc/base.platform.d/qemu/05.ign": "etc 05", "usr/base.platform.d/aws/05.ign": "no",
		"usr/user.ign": "low", "etc/user.ign": "high",
	} {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	found, err := d.Base("qemu", func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range found {
		got = append(got, string(f.Data))
	}
	if diff := cmp.Diff([]string{"usr 10", "run 20", "etc 05"}, got); diff != "" {
		t.Error(diff)
	}
	user, ok, err := d.User()
	if err != nil || !ok || string(user.Data) != "high" {
		t.Errorf("%s, %v, %v", user.Data, ok, err)
	}
	if _, ok, err = (Directories{dir}).User(); ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
}
