// Package terraform checks what docs/terraform.md shows with OpenTofu and the
// provider of OpenStack.
//
// It is a module of its own, with two more below, for the programs are built
// from their modules, which takes minutes once. It needs Go and a network, and is
// run by
//
//	go -C test/terraform test -timeout 60m ./...
package terraform
