package kube

import (
	"context"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"

	"wellcar.dev/internal/update/reboot"
)

func TestKubernetes(t *testing.T) {
	c := newCluster(t)
	c.kubelet(t)
	for name, test := range map[string]func(*testing.T, *cluster){
		"operator": testOperator, "pods": testPods, "moved": testMoved, "restart": testRestart,
		"closed": testClosed, "values": testValues, "refused": testRefused, "kubelet": testKubelet,
	} {
		t.Run(name, func(t *testing.T) { test(t, c) })
	}
}

// The operator and the agent bring a node through an update.
func testOperator(t *testing.T, c *cluster) {
	c.node(t, "n1")
	before := c.get(t, "n1")
	c.startOperator(t)
	c.run(t, pod{namespace: "default", name: "web", node: "n1", owner: "ReplicaSet", phase: core.PodRunning})
	told := c.follow(t, "n1")
	var during *core.Node
	machine := reboot.Coordinator{Lock: c.agent(t, "n1"), Now: time.Now, After: quick, Logf: t.Logf,
		State: func(string) {}, Warn: func(string) bool { return false },
		NeedReboot: func(context.Context) error { return nil },
		Reboot:     func(context.Context) error { during = c.get(t, "n1"); return nil }}
	ctx, stop := context.WithTimeout(t.Context(), 3*time.Minute)
	defer stop()
	if err := machine.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if left := c.pods(t, "n1"); len(left) > 0 {
		t.Errorf("at the reboot there were %v", left)
	}
	up := errors.New("the machine is up")
	machine.NeedReboot = func(context.Context) error { return up }
	if err := machine.Run(ctx); err != up {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{
		"label:group=stable label:id=flatcar label:reboot-needed=false label:version=1.0.0 reboot-in-progress=false reboot-needed=false status=UPDATE_STATUS_IDLE",
		"label:reboot-needed=true reboot-needed=true status=UPDATE_STATUS_UPDATED_NEED_REBOOT",
		"label:before-reboot=true",
		"label:before-reboot=- reboot-ok=true",
		"agent-made-unschedulable=true closed=true reboot-in-progress=true",
		"label:reboot-needed=false reboot-in-progress=false reboot-needed=false status=UPDATE_STATUS_IDLE",
		"label:after-reboot=true",
		"label:after-reboot=- reboot-ok=false",
		"agent-made-unschedulable=false closed=false",
	}, told()); diff != "" {
		t.Error(diff)
	}
	want := strings.Fields(`agent-made-unschedulable=true closed=true label:group=stable label:id=flatcar
		label:reboot-needed=true label:version=1.0.0 reboot-in-progress=true reboot-needed=true reboot-ok=true
		status=UPDATE_STATUS_UPDATED_NEED_REBOOT`)
	if diff := cmp.Diff(want, changes(state(before), state(during))); diff != "" {
		t.Errorf("at the reboot: %s", diff)
	}
	if diff := cmp.Diff(others(before), others(c.get(t, "n1"))); diff != "" {
		t.Errorf("what is not the agent's is not as before:\n%s", diff)
	}
}

// others is a node without what the agent and the operator set, and without
// the server's accounts of changes.
func others(n *core.Node) *core.Node {
	n = n.DeepCopy()
	n.ResourceVersion, n.ManagedFields = "", nil
	ours := func(name, _ string) bool { return strings.HasPrefix(name, reboot.KubePrefix) }
	maps.DeleteFunc(n.Labels, ours)
	maps.DeleteFunc(n.Annotations, ours)
	return n
}

// startOperator runs the operator as an account that may do anything.
func (c *cluster) startOperator(t *testing.T) {
	t.Helper()
	ns := &core.Namespace{ObjectMeta: meta.ObjectMeta{Name: "reboot-coordinator"}}
	if _, err := c.api.CoreV1().Namespaces().Create(t.Context(), ns, meta.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	conf := fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","current-context":"c","contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}],
		"clusters":[{"name":"c","cluster":{"server":%q,"certificate-authority":%q}}],"users":[{"name":"u","user":{"token":"admin"}}]}`, c.url, c.file("ca.crt"))
	if err := os.WriteFile(c.file("kubeconfig"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, c.file("operator.log"), nil, tool(t, "operator", "wellcar.dev/test/kube/operator"), c.file("kubeconfig"))
}

// Pods that a controller starts elsewhere go, once their budget allows it.
func testPods(t *testing.T, c *cluster) {
	c.node(t, "n2")
	c.node(t, "n3")
	mirror := map[string]string{core.MirrorPodAnnotationKey: "x"}
	for _, p := range []pod{
		{namespace: "default", name: "web", node: "n2", owner: "ReplicaSet", phase: core.PodRunning},
		{namespace: "default", name: "guarded", node: "n2", owner: "ReplicaSet", phase: core.PodRunning},
		{namespace: "default", name: "starting", node: "n2", owner: "StatefulSet", phase: core.PodPending},
		{namespace: "default", name: "log", node: "n2", owner: "DaemonSet", phase: core.PodRunning},
		{namespace: "default", name: "static", node: "n2", owner: "Node", notes: mirror, phase: core.PodRunning},
		{namespace: "default", name: "alone", node: "n2", phase: core.PodRunning},
		{namespace: "default", name: "done", node: "n2", owner: "Job", phase: core.PodSucceeded},
		{namespace: "default", name: "elsewhere", node: "n3", owner: "ReplicaSet", phase: core.PodRunning},
		{namespace: "kube-system", name: "dns", node: "n2", owner: "ReplicaSet", phase: core.PodRunning},
	} {
		c.run(t, p)
	}
	allow := c.guard(t, "default", "guarded")
	k := c.agent(t, "n2")
	refused := 0
	k.Logf = func(format string, args ...any) {
		line := fmt.Sprintf(format, args...)
		t.Log(line)
		if !strings.Contains(line, "default/pods/guarded") || !strings.Contains(line, "disruption budget") {
			t.Errorf("unexpected: %s", line)
		}
		refused++
		allow()
	}
	c.lock(t, k)
	if refused != 1 {
		t.Errorf("%d lines of a refusal", refused)
	}
	want := []string{"default/alone", "default/done", "default/log", "default/static", "kube-system/dns"}
	if diff := cmp.Diff(want, c.pods(t, "n2")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"default/elsewhere"}, c.pods(t, "n3")); diff != "" {
		t.Error(diff)
	}
}

// lock takes the node out of the cluster, with the test as the operator.
func (c *cluster) lock(t *testing.T, k reboot.Kubernetes) {
	t.Helper()
	if err := k.Lock(t.Context()); err == nil || !strings.Contains(err.Error(), "not given leave") {
		t.Fatal(err)
	}
	c.answer(t, k.Node, "true")
	if err := k.Lock(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// between does something after the first answer to a request.
type between struct {
	http.RoundTripper
	what func(*http.Request) bool
	do   func()
}

func (b between) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(r)
	if b.what(r) {
		b.do()
	}
	return resp, err
}

func listsPods(r *http.Request) bool { return r.URL.Path == "/api/v1/pods" }

// A pod of the same name that has started on another node stays there.
func testMoved(t *testing.T, c *cluster) {
	c.node(t, "n4")
	c.node(t, "n5")
	db := pod{namespace: "default", name: "db-0", node: "n4", owner: "StatefulSet", phase: core.PodRunning}
	c.run(t, db)
	k := c.agent(t, "n4")
	k.Client.Transport = between{k.Client.Transport, listsPods, sync.OnceFunc(func() {
		if err := c.api.CoreV1().Pods("default").Delete(t.Context(), "db-0", *meta.NewDeleteOptions(0)); err != nil {
			t.Fatal(err)
		}
		db.node = "n5"
		c.run(t, db)
	})}
	c.lock(t, k)
	if diff := cmp.Diff([]string{"default/db-0"}, c.pods(t, "n5")); diff != "" {
		t.Error(diff)
	}
}

// The API server is away for a while, as when it is updated itself.
func testRestart(t *testing.T, c *cluster) {
	c.node(t, "n6")
	c.run(t, pod{namespace: "default", name: "web", node: "n6", owner: "ReplicaSet", phase: core.PodRunning})
	k := c.agent(t, "n6")
	n := 0
	k.Client.Transport = between{k.Client.Transport, func(r *http.Request) bool { return r.Method == http.MethodPatch }, func() {
		if n++; n == 3 { // it has closed the node, and goes on to the pods
			c.server.stop()
		}
	}}
	back := sync.OnceFunc(func() { c.start(c.t) })
	k.Logf = func(format string, args ...any) {
		t.Logf(format, args...)
		back()
	}
	c.lock(t, k)
	if left := c.pods(t, "n6"); len(left) > 0 {
		t.Errorf("there were left %v", left)
	}
}

// A node that an administrator closed stays closed, and one that is paused is
// left alone.
func testClosed(t *testing.T, c *cluster) {
	c.node(t, "n7")
	c.patchNode(t, "n7", `{"spec":{"unschedulable":true}}`)
	k := c.agent(t, "n7")
	c.patchNode(t, "n7", fmt.Sprintf(`{"metadata":{"annotations":{%q:"true",%q:"true"}}}`, reboot.KubePrefix+"reboot-paused", reboot.KubePrefix+"reboot-ok"))
	if err := k.Lock(t.Context()); err == nil || !strings.Contains(err.Error(), "paused") {
		t.Fatal(err)
	}
	c.patchNode(t, "n7", fmt.Sprintf(`{"metadata":{"annotations":{%q:null,%q:null}}}`, reboot.KubePrefix+"reboot-paused", reboot.KubePrefix+"reboot-ok"))
	c.lock(t, k)
	if err := k.Unlock(t.Context()); err == nil || !strings.Contains(err.Error(), "not taken back") {
		t.Fatal(err)
	}
	c.answer(t, "n7", "false")
	if err := k.Unlock(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := c.get(t, "n7"); !n.Spec.Unschedulable {
		t.Errorf("it was opened: %v", n.Annotations)
	}
}

// Versions and groups may hold what a label must not.
func testValues(t *testing.T, c *cluster) {
	c.node(t, "n8")
	k := c.agent(t, "n8")
	long := strings.Repeat("long.", 20)
	k.Labels = map[string]string{"version": "1.0.0+dev", "group": "(my group)", "id": long}
	if err := k.Unlock(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := c.get(t, "n8").Labels
	want := map[string]string{"rack": "7", reboot.KubePrefix + "reboot-needed": "false", reboot.KubePrefix + "version": "1.0.0-dev",
		reboot.KubePrefix + "group": "my-group", reboot.KubePrefix + "id": strings.TrimSuffix(long[:63], ".")}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// What the server refuses is one sentence that says what is wrong.
func testRefused(t *testing.T, c *cluster) {
	c.node(t, "node-9")
	for _, test := range []struct {
		token, node, want string
	}{
		{"agent", "node-9", ""},
		{"agent", reboot.NodeName("Node-9"), ""}, // as the kubelet names it
		{"agent", "Node-9", `HTTP status 404 Not Found: nodes "Node-9" not found`},
		{"nobody", "node-9", `HTTP status 403 Forbidden: nodes "node-9" is forbidden: User "nobody" cannot patch resource "nodes" in API group "" at the cluster scope`},
		{"stranger", "node-9", `HTTP status 401 Unauthorized: Unauthorized`},
	} {
		k := c.agent(t, test.node)
		k.TokenFile = c.file(test.token + ".token")
		want := "<nil>"
		if test.want != "" {
			want = "asking the cluster: PATCH /api/v1/nodes/" + test.node + ": " + test.want
		}
		if got := fmt.Sprint(k.Unlock(t.Context())); got != want {
			t.Errorf("%s on %s: %s\nwant %s", test.token, test.node, got, want)
		}
	}
	other := newAuthority(t)
	k := c.agent(t, "node-9")
	var err error
	if k.Client, err = reboot.NewClient(other.file("ca.crt"), "", ""); err != nil {
		t.Fatal(err)
	}
	if err := k.Unlock(t.Context()); err == nil || !strings.Contains(err.Error(), "certificate signed by unknown authority") {
		t.Error(err)
	}
}

// The certificate of the kubelet is enough, for its own node.
func testKubelet(t *testing.T, c *cluster) {
	c.node(t, "n10")
	c.node(t, "n11")
	c.run(t, pod{namespace: "default", name: "web", node: "n10", owner: "ReplicaSet", phase: core.PodRunning})
	c.issue(t, "kubelet", pkix.Name{CommonName: "system:node:n10", Organization: []string{"system:nodes"}})
	k := c.agent(t, "n10")
	k.TokenFile = ""
	var err error
	if k.Client, err = reboot.NewClient(c.file("ca.crt"), c.kubeletPEM(t), c.kubeletPEM(t)); err != nil {
		t.Fatal(err)
	}
	c.lock(t, k)
	if left := c.pods(t, "n10"); len(left) > 0 {
		t.Errorf("there were left %v", left)
	}
	c.answer(t, "n10", "false")
	if err := k.Unlock(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := c.get(t, "n10"); n.Spec.Unschedulable {
		t.Error("it stays closed")
	}
	k.Node = "n11"
	if err := k.Unlock(t.Context()); err == nil || !strings.Contains(err.Error(), `node "n10" is not allowed to modify node "n11"`) {
		t.Error(err)
	}
}

// kubeletPEM is one file with certificate and key, as the kubelet keeps them.
func (c *cluster) kubeletPEM(t *testing.T) string {
	t.Helper()
	var both []byte
	for _, name := range []string{"kubelet.crt", "kubelet.key"} {
		data, err := os.ReadFile(c.file(name))
		if err != nil {
			t.Fatal(err)
		}
		both = append(both, data...)
	}
	if err := os.WriteFile(c.file("kubelet.pem"), both, 0o600); err != nil {
		t.Fatal(err)
	}
	return c.file("kubelet.pem")
}
