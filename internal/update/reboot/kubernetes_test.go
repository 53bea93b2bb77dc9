//go:build linux

package reboot

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// cluster answers as an API server does for one node and its pods; it is of
// recorded shape, not the program itself.
type cluster struct {
	labels, notes map[string]string
	closed        bool
	pods          []string // JSON
	refuse        []int    // status codes of the next evictions
	away          int      // how many lists of pods fail
	log           []string
	agents        map[string]bool
}

func (c *cluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer secret" {
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"kind":"Status","status":"Failure","message":"Unauthorized","reason":"Unauthorized","code":401}`)
		return
	}
	c.agents[r.UserAgent()] = true
	switch {
	case strings.HasSuffix(r.URL.Path, "/eviction"):
		c.evict(w, r)
	case r.URL.Path == "/api/v1/pods" && c.away > 0:
		c.away--
		w.WriteHeader(http.StatusServiceUnavailable)
	case r.URL.Path == "/api/v1/pods":
		fmt.Fprintf(w, `{"kind":"PodList","items":[%s]}`, strings.Join(c.pods, ","))
	case r.Method == http.MethodPatch && r.Header.Get("Content-Type") == "application/merge-patch+json":
		c.patch(r)
		fallthrough
	default:
		json.NewEncoder(w).Encode(map[string]any{"kind": "Node", "metadata": map[string]any{"name": "n1", "labels": c.labels, "annotations": c.notes}, "spec": map[string]any{"unschedulable": c.closed}})
	}
}

func (c *cluster) evict(w http.ResponseWriter, r *http.Request) {
	var e struct {
		DeleteOptions struct{ Preconditions struct{ UID string } }
	}
	json.NewDecoder(r.Body).Decode(&e)
	c.log = append(c.log, r.URL.Path+" "+e.DeleteOptions.Preconditions.UID)
	code := http.StatusCreated
	if len(c.refuse) > 0 {
		code, c.refuse = c.refuse[0], c.refuse[1:]
	}
	if code != http.StatusTooManyRequests {
		c.pods = c.pods[1:]
	}
	w.WriteHeader(code)
	fmt.Fprint(w, `{"kind":"Status","message":"because"}`)
}

func (c *cluster) patch(r *http.Request) {
	var p struct {
		Metadata struct{ Labels, Annotations map[string]string }
		Spec     struct{ Unschedulable *bool }
	}
	json.NewDecoder(r.Body).Decode(&p)
	for k, v := range p.Metadata.Labels {
		c.labels[strings.TrimPrefix(k, KubePrefix)] = v
	}
	for k, v := range p.Metadata.Annotations {
		c.notes[k] = v
	}
	if p.Spec.Unschedulable != nil {
		c.closed = *p.Spec.Unschedulable
	}
}

func pod(namespace, name, owner, more string) string {
	return fmt.Sprintf(`{"metadata":{"namespace":%q,"name":%q,"uid":"of-%[2]s","ownerReferences":[{"kind":%[3]q,"controller":true}]%[4]s},"status":{"phase":"Running"}}`, namespace, name, owner, more)
}

// newCluster is one with some pods, and an agent that does not wait.
func newCluster(t *testing.T, pods ...string) (*cluster, Kubernetes) {
	t.Helper()
	c := &cluster{labels: map[string]string{}, notes: map[string]string{}, agents: map[string]bool{}, pods: pods}
	srv := httptest.NewServer(c)
	t.Cleanup(srv.Close)
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tick := make(chan time.Time)
	close(tick)
	return c, Kubernetes{URL: srv.URL, Node: "n1", TokenFile: token, Client: srv.Client(), Labels: map[string]string{"group": "stable", "version": "1.0.0", "id": "flatcar"},
		Grace: time.Minute, Logf: t.Logf, After: func(d time.Duration) <-chan time.Time {
			if d == time.Minute {
				return nil
			}
			return tick
		}}
}

func TestKubernetes(t *testing.T) {
	c, k := newCluster(t, pod("default", "web", "ReplicaSet", ""), pod("default", "log", "DaemonSet", ""), pod("kube-system", "dns", "ReplicaSet", ""),
		pod("default", "static", "Node", `,"annotations":{"kubernetes.io/config.mirror":"x"}`), `{"metadata":{"namespace":"default","name":"alone"},"status":{"phase":"Running"}}`)
	say := func(key, value string) { c.notes[KubePrefix+key] = value }
	for _, step := range []struct {
		before func()
		do     string
		want   error
	}{
		{func() { say("reboot-ok", "true") }, "unlock", errLeaveHeld},
		{func() { say("reboot-ok", "false") }, "unlock", nil},
		{func() {}, "lock", errNoLeave},
		{func() { say("reboot-ok", "true"); say("reboot-paused", "true") }, "lock", errPaused},
		{func() { say("reboot-paused", "false") }, "lock", nil},
	} {
		step.before()
		do := map[string]func() error{"lock": func() error { return k.Lock(t.Context()) }, "unlock": func() error { return k.Unlock(t.Context()) }}[step.do]
		if err := do(); !errors.Is(err, step.want) {
			t.Fatalf("%s: %v, want %v", step.do, err, step.want)
		}
	}
	if err := k.Report(t.Context(), "UPDATE_STATUS_DOWNLOADING", "1.1.0", 1700000000); err != nil {
		t.Error(err)
	}
	for key, want := range map[string]string{"status": "UPDATE_STATUS_DOWNLOADING", "new-version": "1.1.0", "last-checked-time": "1700000000"} {
		if got := c.notes[KubePrefix+key]; got != want {
			t.Errorf("%s is %q, not %q", key, got, want)
		}
	}
	if diff := cmp.Diff([]string{"/api/v1/namespaces/default/pods/web/eviction of-web"}, c.log); diff != "" {
		t.Error(diff)
	}
	if !c.closed || c.notes[KubePrefix+"reboot-in-progress"] != "true" || c.notes[KubePrefix+"agent-made-unschedulable"] != "true" || c.labels["reboot-needed"] != "true" {
		t.Errorf("before the reboot: %v, %v, closed: %v", c.notes, c.labels, c.closed)
	}
	say("reboot-ok", "false") // as the operator does
	if err := k.Unlock(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"group": "stable", "version": "1.0.0", "id": "flatcar", "reboot-needed": "false"}
	if diff := cmp.Diff(want, c.labels); diff != "" || c.closed || c.notes[KubePrefix+"agent-made-unschedulable"] != "false" ||
		c.notes[KubePrefix+"status"] != "UPDATE_STATUS_IDLE" {
		t.Errorf("%s; %v, closed: %v", diff, c.notes, c.closed)
	}
	if diff := cmp.Diff(map[string]bool{"locksmithd": true}, c.agents); diff != "" {
		t.Error(diff)
	}
	k.TokenFile = ""
	if err := k.Unlock(t.Context()); err == nil || !strings.Contains(err.Error(), "Unauthorized") {
		t.Error(err)
	}
}

// Each pod is evicted until it goes; one that has gone by itself, or whose name
// another pod has now, is not.
func TestKubernetesEvicts(t *testing.T) {
	for _, test := range []struct {
		name   string
		refuse []int
		away   int
		tries  int
		said   int // lines
	}{
		{"a budget refuses twice", []int{429, 429}, 0, 3, 1},
		{"gone", []int{404}, 0, 1, 0},
		{"another has the name", []int{409}, 0, 1, 0},
		{"the server is away", nil, 2, 1, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, k := newCluster(t, pod("default", "web", "ReplicaSet", ""))
			c.refuse, c.away = test.refuse, test.away
			c.notes[KubePrefix+"reboot-ok"] = "true"
			said := 0
			k.Logf = func(format string, args ...any) { t.Logf(format, args...); said++ }
			if err := k.Lock(t.Context()); err != nil {
				t.Fatal(err)
			}
			if len(c.log) != test.tries || said != test.said || len(c.pods) > 0 {
				t.Errorf("%d tries, %d lines, %d pods left; want %d tries, %d lines", len(c.log), said, len(c.pods), test.tries, test.said)
			}
		})
	}
}

// A pod that ends already is waited for, and not evicted once more.
func TestKubernetesEnding(t *testing.T) {
	c, k := newCluster(t, pod("default", "web", "ReplicaSet", `,"deletionTimestamp":"2026-01-01T00:00:00Z"`))
	c.notes[KubePrefix+"reboot-ok"] = "true"
	waits := 0
	tick := make(chan time.Time)
	close(tick)
	k.After = func(d time.Duration) <-chan time.Time {
		if d == time.Minute {
			return nil
		}
		if waits++; waits == 3 {
			c.pods = nil
		}
		return tick
	}
	if err := k.Lock(t.Context()); err != nil {
		t.Fatal(err)
	}
	if waits != 3 || len(c.log) > 0 {
		t.Errorf("%d waits, evicted %v", waits, c.log)
	}
}

func TestLabelValue(t *testing.T) {
	for in, want := range map[string]string{
		"stable": "stable", "1.0.0+dev": "1.0.0-dev", "(my group)": "my-group", "": "", "_.-": "", "ü": "",
		strings.Repeat("a.", 40): strings.TrimSuffix(strings.Repeat("a.", 32), "."),
	} {
		if got := labelValue(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestNodeName(t *testing.T) {
	if got := NodeName("Node-9.Example.COM"); got != "node-9.example.com" {
		t.Error(got)
	}
}
