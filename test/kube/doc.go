// Package kube tests the reboot strategy kubernetes against the programs that
// answer it in a cluster: kube-apiserver with etcd, and the Flatcar Linux
// Update Operator. The test plays what is missing, the kubelet and the
// controllers.
//
// It is a module of its own, for the programs are built from their modules,
// which takes minutes once. It needs Go and a network, and is run by
//
//	go -C test/kube test -timeout 60m ./...
//
// The operator is in a module below, as it is made for an older client of the
// API than the server.
package kube
