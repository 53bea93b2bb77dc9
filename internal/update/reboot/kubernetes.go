//go:build linux

package reboot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// KubePrefix is before the names of labels and annotations that the machine's
// agent and the update operator of the cluster share (updates.md section 4).
const KubePrefix = "flatcar-linux-update.v1.flatcar-linux.net/"

// Kubernetes is the Lock of a machine that is a node of a cluster: it asks by
// annotations of its node, and the update operator of the cluster answers by
// another. Having leave, it takes no new pods and evicts those it has.
type Kubernetes struct {
	URL       string // of the API server
	Node      string
	TokenFile string // read for each request, as tokens are renewed; "": none
	Client    *http.Client
	Labels    map[string]string // id, group, version
	Grace     time.Duration     // that pods have to end
	After     func(time.Duration) <-chan time.Time
	Logf      func(format string, args ...any)
}

// NodeName is the name that the kubelet gives a node with this host name.
func NodeName(host string) string { return strings.ToLower(strings.TrimSpace(host)) }

// podPace is the wait between two looks at pods that end.
const podPace = 5 * time.Second

type kubeMeta struct {
	Name        string             `json:"name,omitempty"`
	Namespace   string             `json:"namespace,omitempty"`
	UID         string             `json:"uid,omitempty"`
	Ends        *time.Time         `json:"deletionTimestamp,omitempty"` // set: it ends already
	Labels      map[string]*string `json:"labels,omitempty"`            // null takes one away
	Annotations map[string]*string `json:"annotations,omitempty"`
	Owners      []struct {
		Kind       string `json:"kind"`
		Controller bool   `json:"controller"`
	} `json:"ownerReferences,omitempty"`
}

type kubeNode struct {
	Metadata kubeMeta `json:"metadata"`
	Spec     struct {
		Unschedulable bool `json:"unschedulable"`
	} `json:"spec"`
}

func (n kubeNode) says(key, value string) bool {
	v := n.Metadata.Annotations[KubePrefix+key]
	return v != nil && *v == value
}

type kubePod struct {
	Metadata kubeMeta `json:"metadata"`
	Status   struct {
		Phase string `json:"phase"`
	} `json:"status"`
}

var (
	errNoLeave   = errors.New("the update operator has not given leave to reboot yet")
	errLeaveHeld = errors.New("the update operator has not taken back its leave to reboot yet")
	errPaused    = errors.New("an administrator has paused reboots of this node")
)

// Unlock tells that the machine is back, and takes pods again if it was this
// agent that sent them away.
func (k Kubernetes) Unlock(ctx context.Context) error {
	labels := map[string]string{"reboot-needed": "false"}
	for name, value := range k.Labels {
		labels[name] = labelValue(value)
	}
	notes := map[string]string{"reboot-in-progress": "false", "reboot-needed": "false", "status": "UPDATE_STATUS_IDLE"}
	if err := k.patch(ctx, labels, notes, nil); err != nil {
		return err
	}
	n, err := k.node(ctx)
	switch {
	case err != nil:
		return err
	case n.says("reboot-ok", "true"):
		return errLeaveHeld
	case !n.says("agent-made-unschedulable", "true"):
		return nil
	}
	open := false
	return k.patch(ctx, nil, map[string]string{"agent-made-unschedulable": "false"}, &open)
}

// Report tells what the update client is at: the operation and the version as
// the client names them, and when it last asked its server, Unix time.
func (k Kubernetes) Report(ctx context.Context, operation, version string, checked int64) error {
	return k.patch(ctx, nil, map[string]string{"status": operation, "new-version": version, "last-checked-time": strconv.FormatInt(checked, 10)}, nil)
}

// Lock asks for leave, and once it is there empties the node.
func (k Kubernetes) Lock(ctx context.Context) error {
	need := map[string]string{"reboot-needed": "true"}
	if err := k.patch(ctx, need, map[string]string{"reboot-needed": "true", "status": "UPDATE_STATUS_UPDATED_NEED_REBOOT"}, nil); err != nil {
		return err
	}
	n, err := k.node(ctx)
	switch {
	case err != nil:
		return err
	case n.says("reboot-paused", "true"):
		return errPaused
	case !n.says("reboot-ok", "true"):
		return errNoLeave
	}
	notes := map[string]string{"reboot-in-progress": "true"}
	if !n.Spec.Unschedulable { // who closed it before opens it again
		notes["agent-made-unschedulable"] = "true"
	}
	closed := true
	if err := k.patch(ctx, nil, notes, &closed); err != nil {
		return err
	}
	if err := k.drain(ctx); err != nil {
		k.Logf("emptying the node: %v; it reboots all the same", err)
	}
	return ctx.Err()
}

// drain evicts pods and waits for their end. A server that does not answer is
// asked again: it may be away for its own update.
func (k Kubernetes) drain(ctx context.Context) error {
	late, say := k.After(k.Grace), k.once()
	for {
		left, err := k.evictable(ctx)
		if err == nil && len(left) == 0 {
			return nil
		}
		if err != nil {
			say(err)
		}
		for _, p := range left {
			if err := k.evict(ctx, p); err != nil {
				say(err)
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-late:
			return cmp.Or(err, fmt.Errorf("%d pods did not end within %s", len(left), k.Grace))
		case <-k.After(podPace):
		}
	}
}

// once logs what it has not logged before.
func (k Kubernetes) once() func(error) {
	said := map[string]bool{}
	return func(err error) {
		if !said[err.Error()] {
			said[err.Error()] = true
			k.Logf("emptying the node: %v; trying again", err)
		}
	}
}

// evictable are the pods that somebody starts again elsewhere.
func (k Kubernetes) evictable(ctx context.Context) ([]kubePod, error) {
	var list struct {
		Items []kubePod `json:"items"`
	}
	query := "/api/v1/pods?fieldSelector=" + url.QueryEscape("spec.nodeName="+k.Node)
	if err := k.do(ctx, http.MethodGet, query, "", nil, &list); err != nil {
		return nil, err
	}
	var out []kubePod
	for _, p := range list.Items {
		if p.movable() {
			out = append(out, p)
		}
	}
	return out, nil
}

func (p kubePod) movable() bool {
	_, mirror := p.Metadata.Annotations["kubernetes.io/config.mirror"]
	if mirror || p.Metadata.Namespace == "kube-system" || p.Status.Phase == "Succeeded" || p.Status.Phase == "Failed" {
		return false
	}
	for _, o := range p.Metadata.Owners {
		if o.Controller {
			return o.Kind != "DaemonSet"
		}
	}
	return false
}

// evict asks for the end of this pod if it does not end already, and not of
// another that has got its name on another node since.
func (k Kubernetes) evict(ctx context.Context, p kubePod) error {
	if p.Metadata.Ends != nil {
		return nil
	}
	path := "/api/v1/namespaces/" + url.PathEscape(p.Metadata.Namespace) + "/pods/" + url.PathEscape(p.Metadata.Name) + "/eviction"
	body := map[string]any{"apiVersion": "policy/v1", "kind": "Eviction",
		"metadata":      map[string]string{"name": p.Metadata.Name, "namespace": p.Metadata.Namespace},
		"deleteOptions": map[string]any{"preconditions": map[string]string{"uid": p.Metadata.UID}}}
	err := k.do(ctx, http.MethodPost, path, "application/json", body, nil)
	var refused kubeError
	if errors.As(err, &refused) && (refused.status == http.StatusNotFound || refused.status == http.StatusConflict) {
		return nil // it has gone
	}
	return err
}
