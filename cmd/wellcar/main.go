// Command wellcar builds, runs and tests Wellcar Container Linux on a host.
// It is one static binary for Linux and macOS and never needs root.
//
// Design: section 3. A verb is a file; the engines do the work, and the verbs
// join them.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second Ctrl-C kills
	os.Exit(run(ctx, &app{in: os.Stdin, out: os.Stdout, err: os.Stderr, joins: engines()}, os.Args[1:]))
}
