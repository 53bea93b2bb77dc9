// Command operator runs the Flatcar Linux Update Operator with the cluster of a
// kubeconfig file, looking at the nodes more often than its own command does.
package main

import (
	"fmt"
	"os"
	"time"

	"github.com/flatcar/flatcar-linux-update-operator/pkg/k8sutil"
	"github.com/flatcar/flatcar-linux-update-operator/pkg/operator"
)

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(kubeconfig string) error {
	client, err := k8sutil.GetClient(kubeconfig)
	if err != nil {
		return err
	}
	o, err := operator.New(operator.Config{Client: client, Namespace: "reboot-coordinator", LockID: "test", ReconciliationPeriod: time.Second})
	if err != nil {
		return err
	}
	return o.Run(nil)
}
