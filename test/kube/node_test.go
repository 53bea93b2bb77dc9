package kube

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"wellcar.dev/internal/update/reboot"
)

// node makes a node that has a label and a note of its owner.
func (c *cluster) node(t *testing.T, name string) {
	t.Helper()
	n := &core.Node{ObjectMeta: meta.ObjectMeta{Name: name, Labels: map[string]string{"rack": "7"}, Annotations: map[string]string{"owner": "ops"}}}
	if _, err := c.api.CoreV1().Nodes().Create(t.Context(), n, meta.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.api.CoreV1().Nodes().Delete(context.Background(), name, meta.DeleteOptions{}) })
}

func (c *cluster) get(t *testing.T, name string) *core.Node {
	t.Helper()
	n, err := c.api.CoreV1().Nodes().Get(t.Context(), name, meta.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// patchNode changes a node as the operator or an administrator does.
func (c *cluster) patchNode(t *testing.T, name, patch string) {
	t.Helper()
	if _, err := c.api.CoreV1().Nodes().Patch(t.Context(), name, types.MergePatchType, []byte(patch), meta.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

// answer is the operator's, where a test plays it.
func (c *cluster) answer(t *testing.T, name, ok string) {
	t.Helper()
	c.patchNode(t, name, fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, reboot.KubePrefix+"reboot-ok", ok))
}

// agent is the product on a node, ten times as fast.
func (c *cluster) agent(t *testing.T, node string) reboot.Kubernetes {
	t.Helper()
	client, err := reboot.NewClient(c.file("ca.crt"), "", "")
	if err != nil {
		t.Fatal(err)
	}
	return reboot.Kubernetes{URL: c.url, Node: node, TokenFile: c.file("agent.token"), Client: client, Logf: t.Logf, After: quick,
		Grace: 20 * time.Minute, Labels: map[string]string{"id": "flatcar", "group": "stable", "version": "1.0.0"}}
}

func quick(d time.Duration) <-chan time.Time { return time.After(d / 10) }

// follow notes each change of a node from now on; the function it returns ends
// that and tells them.
func (c *cluster) follow(t *testing.T, name string) func() []string {
	t.Helper()
	old := c.get(t, name)
	w, err := c.api.CoreV1().Nodes().Watch(t.Context(), meta.ListOptions{FieldSelector: "metadata.name=" + name, ResourceVersion: old.ResourceVersion})
	if err != nil {
		t.Fatal(err)
	}
	said := make(chan []string, 1)
	go func() {
		var lines []string
		for e := range w.ResultChan() {
			n, ok := e.Object.(*core.Node)
			if !ok || n.Labels["seen"] == "all" {
				break
			}
			lines = append(lines, strings.Join(changes(state(old), state(n)), " "))
			old = n
		}
		said <- lines
	}()
	return func() []string {
		defer w.Stop()
		c.patchNode(t, name, `{"metadata":{"labels":{"seen":"all"}}}`)
		lines := <-said
		c.patchNode(t, name, `{"metadata":{"labels":{"seen":null}}}`)
		return lines
	}
}

// state is what may change of a node, without the prefix of the agent.
func state(n *core.Node) map[string]string {
	s := map[string]string{"closed": fmt.Sprint(n.Spec.Unschedulable)}
	for kind, values := range map[string]map[string]string{"label:": n.Labels, "": n.Annotations} {
		for name, v := range values {
			s[kind+strings.TrimPrefix(name, reboot.KubePrefix)] = v
		}
	}
	return s
}

// changes are the new values in order of their names; "-" is one taken away.
func changes(before, after map[string]string) []string {
	both := maps.Clone(before)
	maps.Copy(both, after)
	var out []string
	for _, name := range slices.Sorted(maps.Keys(both)) {
		v, there := after[name]
		if old, was := before[name]; there && was && v == old {
			continue
		}
		if !there {
			v = "-"
		}
		out = append(out, name+"="+v)
	}
	return out
}
