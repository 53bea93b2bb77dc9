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
	log           []string
}

func (c *cluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer secret" {
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"kind":"Status","status":"Failure","message":"Unauthorized","reason":"Unauthorized","code":401}`)
		return
	}
	switch {
	case strings.HasSuffix(r.URL.Path, "/eviction"):
		c.log = append(c.log, r.URL.Path)
		c.pods = c.pods[1:]
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, `{"kind":"Status","status":"Success"}`)
	case r.URL.Path == "/api/v1/pods":
		fmt.Fprintf(w, `{"kind":"PodList","items":[%s]}`, strings.Join(c.pods, ","))
	case r.Method == http.MethodPatch && r.Header.Get("Content-Type") == "application/merge-patch+json":
		c.patch(r)
		fallthrough
	default:
		json.NewEncoder(w).Encode(map[string]any{"kind": "Node", "metadata": map[string]any{"name": "n1", "labels": c.labels, "annotations": c.notes}, "spec": map[string]any{"unschedulable": c.closed}})
	}
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
	return fmt.Sprintf(`{"metadata":{"namespace":%q,"name":%q,"ownerReferences":[{"kind":%q,"controller":true}]%s},"status":{"phase":"Running"}}`, namespace, name, owner, more)
}

func TestKubernetes(t *testing.T) {
	c := &cluster{labels: map[string]string{}, notes: map[string]string{}, pods: []string{
		pod("default", "web", "ReplicaSet", ""), pod("default", "log", "DaemonSet", ""), pod("kube-system", "dns", "ReplicaSet", ""),
		pod("default", "static", "Node", `,"annotations":{"kubernetes.io/config.mirror":"x"}`), `{"metadata":{"namespace":"default","name":"alone"},"status":{"phase":"Running"}}`}}
	srv := httptest.NewServer(c)
	defer srv.Close()
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tick := make(chan time.Time)
	close(tick)
	k := Kubernetes{URL: srv.URL, Node: "n1", TokenFile: token, Client: srv.Client(), Labels: map[string]string{"group": "stable", "version": "1.0.0", "id": "flatcar"},
		Grace: time.Minute, Logf: t.Logf, After: func(d time.Duration) <-chan time.Time {
			if d == time.Minute {
				return nil
			}
			return tick
		}}
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
	if diff := cmp.Diff([]string{"/api/v1/namespaces/default/pods/web/eviction"}, c.log); diff != "" {
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
	if diff := cmp.Diff(want, c.labels); diff != "" || c.closed || c.notes[KubePrefix+"agent-made-unschedulable"] != "false" {
		t.Errorf("%s; %v, closed: %v", diff, c.notes, c.closed)
	}
	k.TokenFile = ""
	if err := k.Unlock(t.Context()); err == nil || !strings.Contains(err.Error(), "Unauthorized") {
		t.Error(err)
	}
}
