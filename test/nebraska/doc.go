// Package nebraska tests the update client against Nebraska, the update server
// of Flatcar, with its database.
//
// It is a module of its own, so that what Nebraska is made of is no dependency
// of Wellcar. It needs PostgreSQL, in PATH or where Debian installs it, and is
// run by
//
//	go -C test/nebraska test ./...
//
// The Nebraska of go.mod is of April 2022, between its releases 2.7.0 and
// 2.8.0. The test passed as well with one of August 2026, after 3.0.0, which
// is another module: github.com/flatcar/nebraska/backend.
package nebraska
