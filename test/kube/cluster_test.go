package kube

import (
	"crypto/x509/pkix"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	rbac "k8s.io/api/rbac/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// The accounts of the cluster; the token of each is its name.
const accounts = `admin,admin,1,system:masters
agent,update-agent,2
nobody,nobody,3
`

// cluster is an API server with its etcd.
type cluster struct {
	*authority
	t                 *testing.T // of all its tests
	url, binary, etcd string
	server            *program
	api               *kubernetes.Clientset // of the administrator
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{t: t, authority: newAuthority(t), binary: tool(t, ".", "k8s.io/kubernetes/cmd/kube-apiserver")}
	c.issue(t, "server", pkix.Name{CommonName: "kube-apiserver"})
	c.issue(t, "accounts", pkix.Name{CommonName: "signs tokens of service accounts"})
	if err := os.WriteFile(c.file("tokens"), []byte(accounts), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, account := range []string{"admin", "agent", "nobody", "stranger"} {
		if err := os.WriteFile(c.file(account+".token"), []byte(account+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c.startEtcd(t)
	c.url = "https://127.0.0.1:" + freePort(t)
	var err error
	c.api, err = kubernetes.NewForConfig(&rest.Config{Host: c.url, BearerToken: "admin", QPS: -1, TLSClientConfig: rest.TLSClientConfig{CAFile: c.file("ca.crt")}})
	if err != nil {
		t.Fatal(err)
	}
	c.start(t)
	c.allowAgent(t)
	return c
}

func (c *cluster) startEtcd(t *testing.T) {
	t.Helper()
	clients, peers := "http://127.0.0.1:"+freePort(t), "http://127.0.0.1:"+freePort(t)
	p := run(t, c.file("etcd.log"), nil, tool(t, ".", "go.etcd.io/etcd/server/v3"), "--data-dir", filepath.Join(t.TempDir(), "data"),
		"--listen-client-urls", clients, "--advertise-client-urls", clients, "--listen-peer-urls", peers,
		"--initial-advertise-peer-urls", peers, "--initial-cluster", "default="+peers, "--unsafe-no-fsync")
	p.ready(t, func() error {
		resp, err := http.Get(clients + "/health")
		if err == nil {
			resp.Body.Close()
		}
		return err
	})
	c.etcd = clients
}

// start runs the API server, at the same address each time.
func (c *cluster) start(t *testing.T) {
	t.Helper()
	_, port, _ := strings.Cut(strings.TrimPrefix(c.url, "https://"), ":")
	c.server = run(t, c.file("server.log"), nil, c.binary, "--etcd-servers", c.etcd, "--bind-address", "127.0.0.1", "--secure-port", port,
		"--advertise-address", "192.0.2.1", "--endpoint-reconciler-type", "none", "--service-cluster-ip-range", "10.0.0.0/24",
		"--tls-cert-file", c.file("server.crt"), "--tls-private-key-file", c.file("server.key"), "--client-ca-file", c.file("ca.crt"),
		"--token-auth-file", c.file("tokens"), "--authorization-mode", "Node,RBAC", "--enable-admission-plugins", "NodeRestriction",
		"--disable-admission-plugins", "ServiceAccount", "--service-account-issuer", "https://kubernetes.default.svc",
		"--service-account-key-file", c.file("accounts.key"), "--service-account-signing-key-file", c.file("accounts.key"))
	c.server.ready(t, func() error { return c.api.RESTClient().Get().AbsPath("/readyz").Do(t.Context()).Error() })
}

// allowAgent gives the account of the agent the rights that
// docs/update-strategies.md names, and no others.
func (c *cluster) allowAgent(t *testing.T) {
	t.Helper()
	name := meta.ObjectMeta{Name: "update-agent"}
	role := &rbac.ClusterRole{ObjectMeta: name, Rules: []rbac.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"nodes"}, Verbs: []string{"get", "patch"}},
		{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"list"}},
		{APIGroups: []string{""}, Resources: []string{"pods/eviction"}, Verbs: []string{"create"}}}}
	if _, err := c.api.RbacV1().ClusterRoles().Create(t.Context(), role, meta.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	binding := &rbac.ClusterRoleBinding{ObjectMeta: name, RoleRef: rbac.RoleRef{APIGroup: rbac.GroupName, Kind: "ClusterRole", Name: "update-agent"},
		Subjects: []rbac.Subject{{APIGroup: rbac.GroupName, Kind: rbac.UserKind, Name: "update-agent"}}}
	if _, err := c.api.RbacV1().ClusterRoleBindings().Create(t.Context(), binding, meta.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}
