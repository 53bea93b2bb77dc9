//go:build linux

// Package reboot decides when a machine with an installed update may reboot,
// and asks others where they have a say: the strategies of locksmith
// (updates.md section 3) and FleetLock.
//
// Window and Semaphore are values; Coordinator waits for them with a clock
// that is given. The semaphore lies in etcd, in the layout that locksmith has
// there, reached through version 3 of its interface as JSON over HTTP.
package reboot
