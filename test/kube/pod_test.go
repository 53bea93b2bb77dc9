package kube

import (
	"context"
	"slices"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	policy "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// pod is what a test wants to run on a node.
type pod struct {
	namespace, name, node string
	owner                 string // kind of its controller; "": none
	notes                 map[string]string
	phase                 core.PodPhase
}

// run makes a pod as the scheduler and the kubelet leave it.
func (c *cluster) run(t *testing.T, p pod) *core.Pod {
	t.Helper()
	made := &core.Pod{ObjectMeta: meta.ObjectMeta{Namespace: p.namespace, Name: p.name, Labels: map[string]string{"app": p.name}, Annotations: p.notes},
		Spec: core.PodSpec{NodeName: p.node, Containers: []core.Container{{Name: "main", Image: "example.com/main"}}}}
	if p.owner != "" {
		yes := true
		made.OwnerReferences = []meta.OwnerReference{{APIVersion: "apps/v1", Kind: p.owner, Name: "its-" + p.name, UID: types.UID("of-" + p.name), Controller: &yes}}
	}
	pods := c.api.CoreV1().Pods(p.namespace)
	made, err := pods.Create(t.Context(), made, meta.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	made.Status = core.PodStatus{Phase: p.phase, Conditions: []core.PodCondition{{Type: core.PodReady, Status: core.ConditionTrue}}}
	if made, err = pods.UpdateStatus(t.Context(), made, meta.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pods.Delete(context.Background(), p.name, *meta.NewDeleteOptions(0)) })
	return made
}

// pods are the names of those on a node that are not about to end.
func (c *cluster) pods(t *testing.T, node string) []string {
	t.Helper()
	list, err := c.api.CoreV1().Pods("").List(t.Context(), meta.ListOptions{FieldSelector: "spec.nodeName=" + node})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range list.Items {
		names = append(names, p.Namespace+"/"+p.Name)
	}
	slices.Sort(names)
	return names
}

// kubelet ends pods that are to end, until the test ends.
func (c *cluster) kubelet(t *testing.T) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			c.endPods(ctx)
		}
	}()
	t.Cleanup(func() { stop(); <-done })
}

// endPods ends those that are to end, and waits for a change of one or for the
// server's return.
func (c *cluster) endPods(ctx context.Context) {
	pods := c.api.CoreV1().Pods("")
	list, err := pods.List(ctx, meta.ListOptions{})
	if err != nil {
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
		return
	}
	for _, p := range list.Items {
		if p.DeletionTimestamp != nil {
			end := meta.NewDeleteOptions(0)
			end.Preconditions = meta.NewUIDPreconditions(string(p.UID))
			c.api.CoreV1().Pods(p.Namespace).Delete(ctx, p.Name, *end)
		}
	}
	w, err := pods.Watch(ctx, meta.ListOptions{ResourceVersion: list.ResourceVersion})
	if err != nil {
		return
	}
	defer w.Stop()
	select {
	case <-ctx.Done():
	case <-w.ResultChan():
	}
}

// guard is a disruption budget of one pod that allows none to be evicted.
func (c *cluster) guard(t *testing.T, namespace, app string) (allow func()) {
	t.Helper()
	budgets := c.api.PolicyV1().PodDisruptionBudgets(namespace)
	b, err := budgets.Create(t.Context(), &policy.PodDisruptionBudget{ObjectMeta: meta.ObjectMeta{Name: app},
		Spec: policy.PodDisruptionBudgetSpec{Selector: &meta.LabelSelector{MatchLabels: map[string]string{"app": app}}}}, meta.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	set := func(allowed int32) {
		b.Status = policy.PodDisruptionBudgetStatus{ObservedGeneration: b.Generation, DisruptionsAllowed: allowed, CurrentHealthy: 1 + allowed, DesiredHealthy: 1, ExpectedPods: 1}
		if b, err = budgets.UpdateStatus(t.Context(), b, meta.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	set(0)
	t.Cleanup(func() { budgets.Delete(context.Background(), app, meta.DeleteOptions{}) })
	return func() { set(1) }
}
