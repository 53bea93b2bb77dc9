package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"wellcar.dev/internal/server"
)

const serveLong = `Hands a release folder, as wellcar release makes it, to the machines that ask
for updates, and prints what they report, one line each. A machine follows it
with SERVER=http://HOST:PORT/v1/update/ in /etc/flatcar/update.conf.

The release can be exchanged while the server runs. It is not verified here:
machines do that, with their own keys.`

func serveCommand(a *app) *cobra.Command {
	var dir, listen string
	c := &cobra.Command{
		Use:     "serve --release DIR",
		Short:   "Hand a release to machines that ask for updates",
		Long:    serveLong,
		Example: "  wellcar serve --release out/release --listen :8080",
		Args:    cobra.NoArgs,
	}
	c.Flags().StringVar(&dir, "release", "", "release folder")
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:8080", "`address` to listen on")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if dir == "" {
			return withCode(exitUsage, errors.New("--release: name the folder that wellcar release made"))
		}
		return serveRelease(c.Context(), a, dir, listen)
	}
	return c
}

// closing is how long answers in progress may take when the server ends.
const closing = 5 * time.Second

func serveRelease(ctx context.Context, a *app, dir, listen string) error {
	h := server.Handler{Dir: dir, Logf: func(format string, args ...any) { fmt.Fprintf(a.out, format+"\n", args...) }}
	rel, _, err := h.Load()
	if err != nil {
		return err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", listen)
	if err != nil {
		return fmt.Errorf("listening on %s: %w", listen, err)
	}
	fmt.Fprintf(a.out, "serving %s for %s on http://%s%s/\n", rel.Version, rel.Board, l.Addr(), server.UpdatePath)
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serving the release: %w", err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), closing)
	defer cancel()
	return srv.Shutdown(stop)
}
