//go:build linux

package reboot

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"unicode"
)

func (k Kubernetes) path() string { return "/api/v1/nodes/" + url.PathEscape(k.Node) }

func (k Kubernetes) node(ctx context.Context) (n kubeNode, err error) {
	return n, k.do(ctx, http.MethodGet, k.path(), "", nil, &n)
}

// patch sets labels and annotations of the node, and whether it takes pods.
func (k Kubernetes) patch(ctx context.Context, labels, notes map[string]string, unschedulable *bool) error {
	meta := map[string]any{}
	for kind, values := range map[string]map[string]string{"labels": labels, "annotations": notes} {
		named := map[string]string{}
		for name, v := range values {
			named[KubePrefix+name] = v
		}
		if len(named) > 0 {
			meta[kind] = named
		}
	}
	body := map[string]any{"metadata": meta}
	if unschedulable != nil {
		body["spec"] = map[string]bool{"unschedulable": *unschedulable}
	}
	return k.do(ctx, http.MethodPatch, k.path(), "application/merge-patch+json", body, nil)
}

// labelValue is the nearest that a label may hold:
// https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/
func labelValue(s string) string {
	allowed := func(r rune) rune {
		if r < 128 && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("-_.", r)) {
			return r
		}
		return '-'
	}
	s = strings.Trim(strings.Map(allowed, s), "-_.")
	return strings.TrimRight(s[:min(len(s), 63)], "-_.")
}

// kubeError is what the server answers instead.
type kubeError struct {
	status int
	text   string
}

func (e kubeError) Error() string { return e.text }

// maxKube is how much of an answer is read, bytes.
const maxKube = 16 << 20

func (k Kubernetes) do(ctx context.Context, method, path, kind string, in, out any) error {
	var body bytes.Buffer
	if in != nil {
		if err := json.NewEncoder(&body).Encode(in); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(k.URL, "/")+path, &body)
	if err != nil {
		return fmt.Errorf("asking the cluster: %w", err)
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "locksmithd") // the server notes who changed what by it
	if k.TokenFile != "" {
		token, err := os.ReadFile(k.TokenFile)
		if err != nil {
			return fmt.Errorf("asking the cluster: reading the token: %w", err)
		}
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	resp, err := k.Client.Do(req)
	if err != nil {
		return fmt.Errorf("asking the cluster: %w", err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxKube))
	switch {
	case err != nil:
		return fmt.Errorf("asking the cluster: %w", err)
	case resp.StatusCode >= 300:
		return kubeError{resp.StatusCode, fmt.Sprintf("asking the cluster: %s %s: HTTP status %s: %s", method, path, resp.Status, message(data))}
	case out == nil:
		return nil
	}
	if err := json.Unmarshal(data, out); err != nil {
		return fmt.Errorf("asking the cluster: %w", err)
	}
	return nil
}
