//go:build linux

package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"wellcar.dev/internal/update"
	"wellcar.dev/internal/update/reboot"
)

// kubeOptions are the flags of the strategy kubernetes.
type kubeOptions struct {
	url, node, token, ca, cert, key string
	grace                           time.Duration
}

func (o *kubeOptions) flags(f *flag.FlagSet) {
	f.StringVar(&o.url, "kubernetes-url", "", "address of the API server")
	f.StringVar(&o.node, "kubernetes-node", "", "name of the node (default: the host name)")
	f.StringVar(&o.token, "kubernetes-tokenfile", "", "`file` with the token of a service account")
	f.StringVar(&o.ca, "kubernetes-cafile", "", "certificate `file` of the authority of the API server")
	f.StringVar(&o.cert, "kubernetes-certfile", "", "certificate `file` to show the API server")
	f.StringVar(&o.key, "kubernetes-keyfile", "", "key `file` of that certificate")
	f.DurationVar(&o.grace, "kubernetes-grace", 10*time.Minute, "time that pods have to end")
}

func (o *kubeOptions) lock() (reboot.Lock, error) {
	if o.url == "" {
		return nil, errors.New("the strategy kubernetes needs LOCKSMITHD_KUBERNETES_URL")
	}
	client, err := reboot.NewClient(o.ca, o.cert, o.key)
	if err != nil {
		return nil, fmt.Errorf("reaching the cluster: %w", err)
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	settings, err := update.LoadSettings("/")
	if err != nil {
		return nil, err
	}
	return reboot.Kubernetes{URL: o.url, Node: cmp.Or(o.node, reboot.NodeName(host)), TokenFile: o.token, Client: client, Grace: o.grace, After: time.After,
		Logf:   func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) },
		Labels: map[string]string{"id": "flatcar", "group": settings.Group(), "version": settings.Get("FLATCAR_RELEASE_VERSION")}}, nil
}
