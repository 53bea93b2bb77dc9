package preview_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/provision"
	"wellcar.dev/internal/provision/preview"
)

const contents = `d 0755 0:0 0 - share/flatcar/etc	x
f 0644 0:0 139 aa share/flatcar/etc/chrony/chrony.conf	overlay/etc
l 0777 0:0 0 - share/flatcar/etc/motd -> ../run/motd	nodes
f 0644 0:0 10 bb lib/systemd/system/docker.service	docker
f 0644 0:0 10 bb lib/systemd/system/dbus.service	dbus
f 0644 0:0 10 bb lib/systemd/system/getty@.service	systemd
l 0777 0:0 0 - lib/systemd/system/multi-user.target.wants/dbus.service -> ../dbus.service	dbus
f 0755 0:0 10 cc bin/true	coreutils
l 0777 0:0 0 - bin/yes -> true	coreutils
`

const config = `{"ignition":{"version":"3.4.0"},
"kernelArguments":{"shouldExist":["quiet"]},
"storage":{"files":[
{"path":"/etc/motd","overwrite":true,"contents":{"source":"data:,x"}},
{"path":"/etc/chrony/chrony.conf","mode":420},
{"path":"/bin/true","overwrite":true,"contents":{"source":"http://h/true"}},
{"path":"/etc/systemd/network/a.network","contents":{"source":"data:,x"}},
{"path":"/opt/x","contents":{"source":"https://h/x","verification":{"hash":"sha256-2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"}}}]},
"systemd":{"units":[
{"name":"own.service","enabled":true,"contents":"[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=a.target\n"},
{"name":"plain.service","contents":"[Service]\nExecStart=/bin/true\n"},
{"name":"useless.service","enabled":true,"contents":"[Service]\nExecStart=/bin/true\n"},
{"name":"docker.service","enabled":true},
{"name":"dbus.service","dropins":[{"name":"a.conf","contents":"[Unit]\n"}]},
{"name":"getty@tty9.service","enabled":false},
{"name":"gone.service","enabled":true},
{"name":"bye.service","mask":true}]}}`

// served is a fetcher of fixed contents.
type served map[string]string

func (s served) Fetch(_ context.Context, r provision.Request, w io.Writer) error {
	body, ok := s[r.URL]
	if !ok {
		return fmt.Errorf("fetching %s: %w", r.Address(), provision.ErrNotFound)
	}
	return provision.Receive(r, strings.NewReader(body), w)
}

func make(t *testing.T, text string, opt preview.Options) *preview.Preview {
	t.Helper()
	c, report := provision.Load("c.ign", []byte(text), provision.LoadOptions{})
	if err := report.Err(); err != nil {
		t.Fatal(err)
	}
	facts := provision.DefaultFacts()
	facts.UsrReadOnly = false
	plan, err := c.Plan(facts)
	if err != nil {
		t.Fatal(err)
	}
	return preview.Make(c, plan, opt)
}

func image(t *testing.T) *preview.Image {
	t.Helper()
	i, err := preview.ReadImage(strings.NewReader(contents))
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func withoutKargs(text string) string {
	return strings.Replace(text, `"kernelArguments":{"shouldExist":["quiet"]},`, "", 1)
}

func TestUnits(t *testing.T) {
	p := make(t, withoutKargs(config), preview.Options{Image: image(t)})
	var got []string
	for _, u := range p.Units {
		got = append(got, fmt.Sprint(u.Name, " ", u.State, " from ", u.From, " ", u.At))
	}
	want := []string{
		"own.service enabled from config c.ign:10:1", "plain.service static from config c.ign:11:1",
		"useless.service static from config c.ign:12:1", "docker.service enabled from image c.ign:13:1",
		"dbus.service enabled from image c.ign:14:1", "getty@tty9.service disabled from image c.ign:15:1",
		"gone.service not-found from nowhere c.ign:16:1", "bye.service masked from nowhere c.ign:17:1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestReplaced(t *testing.T) {
	p := make(t, withoutKargs(config), preview.Options{Image: image(t)})
	var got []string
	for _, r := range p.Replaced {
		got = append(got, fmt.Sprint(r.Path, " ", r.Was.Kind, " ", r.Was.Origin))
	}
	if diff := cmp.Diff([]string{"/etc/motd link nodes", "/bin/true file coreutils"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestDownloads(t *testing.T) {
	p := make(t, withoutKargs(config), preview.Options{Image: image(t)})
	p.Check(t.Context(), served{"http://h/true": "abc", "https://h/x": "y"})
	text := p.Render()
	for _, want := range []string{
		"http://h/true  3 bytes  no hash to verify, sha256 ba7816bf", "https://h/x    -        failed",
		"http://h/true comes over plain http or tftp without a hash",
		"is fetched before /etc/systemd/network/a.network is in effect",
		"unit gone.service: neither this config nor the image has such a unit",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if len(p.Problems) != 1 || !strings.Contains(p.Problems[0].String(), "the content has another sha256") || p.Problems[0].Line != 8 {
		t.Error(p.Problems)
	}
	good := make(t, withoutKargs(config), preview.Options{})
	good.Check(t.Context(), served{"http://h/true": "abc", "https://h/x": "x"})
	if len(good.Problems) > 0 || !strings.Contains(good.Render(), "verified by sha256") {
		t.Error(good.Render())
	}
}

// TestVolumes fetches keys as it fetches files; Tang servers are asked on the
// machine only.
func TestVolumes(t *testing.T) {
	text := strings.Replace(storage(`{"luks":[{"name":"k","device":"/dev/vdb","keyFile":{"source":"http://h/key"}},
{"name":"t","device":"/dev/vdc","clevis":{"tang":[{"url":"http://tang/","thumbprint":"x"},{"url":"http://known","thumbprint":"x","advertisement":"{}"}]}}]}`), "3.4.0", "3.5.0", 1)
	p := make(t, text, preview.Options{Offline: true})
	var got []string
	for _, d := range p.Downloads {
		got = append(got, d.For+" "+d.URL)
	}
	for _, w := range p.Warnings {
		got = append(got, w.Message)
	}
	want := []string{"LUKS volume k http://h/key", "LUKS volume t http://tang/adv",
		"http://h/key comes over plain http or tftp without a hash, so anybody on the way can replace it",
		"http://h/key needs a network at the first boot, and was not checked", "http://tang/adv is asked at the first boot, which needs a network"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	p = make(t, text, preview.Options{})
	if p.Check(t.Context(), served{}); len(p.Problems) != 1 || !strings.Contains(p.Problems[0].Message, "http://h/key") {
		t.Error(p.Problems)
	}
}

func TestOfflineAndUnknownImage(t *testing.T) {
	p := make(t, withoutKargs(config), preview.Options{Offline: true})
	text := p.Render()
	if !strings.Contains(text, "needs a network at the first boot, and was not checked") || strings.Contains(text, "not-found") {
		t.Error(text)
	}
	if _, err := p.JSON(); err != nil {
		t.Error(err)
	}
}

func TestReferenceTraps(t *testing.T) {
	text := `{"ignition":{"version":"3.4.0","config":{"merge":[{"source":"http://h/a"},{"source":"https://h/b"}]},
"security":{"tls":{"certificateAuthorities":[{"source":"tftp://h/ca"}]}}}}`
	c, _ := provision.Load("c.ign", []byte(text), provision.LoadOptions{})
	var got []string
	for _, p := range preview.ReferenceTraps(c) {
		got = append(got, p.Position.String())
	}
	if diff := cmp.Diff([]string{"c.ign:1:61", "c.ign:2:56"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestFollow(t *testing.T) {
	i := image(t)
	if e, ok := i.Follow("/usr/bin/yes"); !ok || e.Origin != "coreutils" || e.Kind != preview.File {
		t.Error(e, ok)
	}
	if _, err := preview.ReadImage(bytes.NewReader([]byte("x\n"))); err == nil {
		t.Error("a short line passed")
	}
}

func FuzzReadImage(f *testing.F) {
	f.Add(contents)
	f.Add("l 0777 0:0 0 - a -> b\tx\nl 0777 0:0 0 - b -> a\tx\n")
	f.Fuzz(func(t *testing.T, text string) {
		i, err := preview.ReadImage(strings.NewReader(text))
		if err != nil {
			return
		}
		for _, name := range []string{"/usr/a", "/bin/true", "/etc/motd"} {
			i.Follow(name)
			i.Unit(name)
			i.Wanted(name)
		}
	})
}
