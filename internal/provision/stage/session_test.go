package stage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/provision"
	"wellcar.dev/internal/provision/platform"
)

// machine is what sessions of a test have in common.
type machine struct {
	files   Files
	base    string
	user    string
	online  map[string]string // what the network has
	needs   bool              // the user's config is there only
	output  map[string][]byte // files of the platform
	planned []string          // of the last session
}

func newMachine(t *testing.T) *machine {
	dir := t.TempDir()
	return &machine{files: Files{filepath.Join(dir, "ignition.json"), filepath.Join(dir, "run/state"), filepath.Join(dir, "run/neednet"), filepath.Join(dir, "run/restart")}}
}

type network struct {
	m       *machine
	offline bool
}

func (n network) Fetch(_ context.Context, r provision.Request, w io.Writer) error {
	if n.offline {
		return fmt.Errorf("fetching %s: %w", r.URL, provision.ErrNeedsNetwork)
	}
	text, ok := n.m.online[r.URL]
	if !ok {
		return provision.ErrNotFound
	}
	_, err := io.WriteString(w, text)
	return err
}

var errPlanned = errors.New("planned")

// run is one process; errPlanned says that it came to a plan.
func (m *machine) run(stages ...provision.Stage) (*Session, error) {
	m.planned = nil
	s := &Session{
		Files: m.files,
		Base: func(context.Context) ([]platform.Found, error) {
			return []platform.Found{{Name: "base.ign", Data: []byte(m.base)}}, nil
		},
		User: func(_ context.Context, offline bool) (platform.Found, error) {
			if offline && m.needs {
				return platform.Found{}, provision.ErrNeedsNetwork
			}
			return platform.Found{Name: "user.ign", Data: []byte(m.user), Output: m.output}, nil
		},
		Fetcher: func(offline bool) provision.Fetcher { return network{m, offline} },
		Target:  func([]provision.Stage) (provision.Target, error) { return provision.Target{}, nil },
		Facts: func(context.Context, provision.Config, provision.Target) (provision.Facts, error) {
			return provision.DefaultFacts(), nil
		},
		Begin: func(p provision.Plan, _ []provision.Stage) error {
			for _, s := range p.Steps {
				m.planned = append(m.planned, s.At.String()+" "+s.Action.Summary().Name)
			}
			return errPlanned
		},
	}
	return s, s.Run(context.Background(), stages...)
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

const userText = `{"ignition": {"version": "3.4.0"},
 "storage": {"directories": [
  {"path": "/d"}]}}`

func TestSeparateProcesses(t *testing.T) {
	m := newMachine(t)
	m.base = "{\"ignition\": {\"version\": \"3.3.0\"},\n\"storage\": {\"directories\": [{\"path\": \"/b\"}]}}"
	m.user = userText
	if _, err := m.run(provision.StageFetchOffline); err != nil {
		t.Fatal(err)
	}
	if exists(m.files.NeedNet) {
		t.Error("a network is asked for")
	}
	info, err := os.Stat(m.files.Cache)
	if err != nil || info.Mode() != 0o640 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if info, err = os.Stat(m.files.State); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	m.user = "" // no later stage asks again
	if _, err := m.run(provision.StageFiles); !errors.Is(err, errPlanned) {
		t.Fatal(err)
	}
	want := []string{"base.ign:2:29 /b", "user.ign:3:3 /d", " /etc/.ignition-result.json"}
	if diff := cmp.Diff(want, m.planned); diff != "" {
		t.Error(diff)
	}
	var state map[string]any
	data, _ := os.ReadFile(m.files.State)
	if err := json.Unmarshal(data, &state); err != nil {
		t.Fatal(err)
	}
	fetched := []any{
		map[string]any{"kind": "base", "source": "base.ign", "referenced": false},
		map[string]any{"kind": "user", "source": "user.ign", "referenced": false},
	}
	if diff := cmp.Diff(fetched, state["fetchedConfigs"]); diff != "" {
		t.Error(diff)
	}
}

func TestNoCacheIsAFailure(t *testing.T) {
	m := newMachine(t)
	if _, err := m.run(provision.StageFiles); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if err := os.MkdirAll(filepath.Dir(m.files.State), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(m.files.State, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := m.run(provision.StageFiles); !errors.Is(err, ErrState) {
		t.Errorf("%v", err)
	}
}

func TestAbsentConfigIsCachedAsEmpty(t *testing.T) {
	for _, text := range []string{"", "#cloud-config\n", "#!/bin/sh\n"} {
		m := newMachine(t)
		m.user = text
		if _, err := m.run(provision.StageFetch); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(m.files.Cache)
		if err != nil || !strings.Contains(string(data), `"version":"3.`) {
			t.Errorf("%q: %s, %v", text, data, err)
		}
		if _, err := m.run(provision.StageFiles); !errors.Is(err, errPlanned) || len(m.planned) != 1 {
			t.Errorf("%q: %v, %v", text, m.planned, err)
		}
	}
}

func TestNetworkOnlyWhenNeeded(t *testing.T) {
	const child = "https://example.org/child.ign"
	refers := `{"ignition": {"version": "3.4.0", "config": {"merge": [{"source": "` + child + `"}]}}}`
	for name, tc := range map[string]struct {
		user        string
		needs       bool
		cache, flag bool // after fetch-offline
	}{
		"nothing":    {user: userText, cache: true},
		"platform":   {user: userText, needs: true, flag: true},
		"reference":  {user: refers, flag: true},
		"a file":     {user: `{"ignition": {"version": "3.4.0"}, "storage": {"files": [{"path": "/f", "contents": {"source": "http://example.org/f"}}]}}`, cache: true, flag: true},
		"key server": {user: `{"ignition": {"version": "3.4.0"}, "storage": {"luks": [{"name": "l", "device": "/dev/l", "clevis": {"tang": [{"url": "http://t", "thumbprint": "x"}]}}]}}`, cache: true, flag: true},
	} {
		m := newMachine(t)
		m.user, m.needs, m.online = tc.user, tc.needs, map[string]string{child: userText}
		s, err := m.run(provision.StageFetchOffline)
		if err != nil || s.Waiting() != tc.flag || exists(m.files.Cache) != tc.cache || exists(m.files.NeedNet) != tc.flag {
			t.Errorf("%s: %v, waiting %v, cache %v, flag %v", name, err, s.Waiting(), exists(m.files.Cache), exists(m.files.NeedNet))
		}
		if _, err := m.run(provision.StageFetch); err != nil || !exists(m.files.Cache) {
			t.Errorf("%s: fetch: %v", name, err)
		}
	}
}

func TestOneProcessWaitsForTheNetwork(t *testing.T) {
	m := newMachine(t)
	m.user, m.needs = userText, true
	s, err := m.run(provision.StageFetchOffline, provision.StageFetch, provision.StageFiles)
	if err != nil || !s.Waiting() || m.planned != nil {
		t.Fatalf("%v, planned %v", err, m.planned)
	}
	if _, err = m.run(provision.StageFetch, provision.StageFiles); !errors.Is(err, errPlanned) {
		t.Fatal(err)
	}
}

func TestPlatformFilesInLaterProcess(t *testing.T) {
	m := newMachine(t)
	m.output = map[string][]byte{"/var/lib/hyperv/.kvp_pool_0": []byte("pairs")}
	if s, err := m.run(provision.StageFetchOffline); err != nil || s.Waiting() {
		t.Fatal(err)
	}
	m.output = nil
	if _, err := m.run(provision.StageFiles); !errors.Is(err, errPlanned) {
		t.Fatal(err)
	}
	if got := strings.Join(m.planned, "\n"); !strings.Contains(got, "/var/lib/hyperv/.kvp_pool_0") {
		t.Error(got)
	}
}
