package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/spf13/cobra"

	"wellcar.dev/internal/qemu"
)

// pipeCommand joins standard input and output to a TCP address; QEMU starts
// one for each connection that a machine makes to a service of the host.
func pipeCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "pipe ADDR", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return pipe(c.Context(), args[0], a.in, a.out) },
	}
}

// pipe ends when the server has; an end of input is passed on before.
func pipe(ctx context.Context, address string, in io.Reader, out io.Writer) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("reaching the service: %w", err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	go func() {
		_, _ = io.Copy(conn, in)
		_ = conn.(*net.TCPConn).CloseWrite()
	}()
	_, err = io.Copy(out, conn)
	return err
}

// qmpCommand sends one command to a machine's monitor, for pages.
func qmpCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "qmp SOCKET COMMAND [ARGUMENTS]", Hidden: true, Args: cobra.RangeArgs(2, 3),
		RunE: func(c *cobra.Command, args []string) error {
			var arguments any
			if len(args) == 3 {
				if err := json.Unmarshal([]byte(args[2]), &arguments); err != nil {
					return withCode(exitUsage, fmt.Errorf("the arguments must be JSON: %w", err))
				}
			}
			return askMonitor(c.Context(), a.out, args[0], args[1], arguments)
		},
	}
}

func askMonitor(ctx context.Context, out io.Writer, socket, command string, arguments any) (err error) {
	m, err := qemu.DialMonitor(ctx, socket)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	var answer json.RawMessage
	if err := m.Do(ctx, command, arguments, &answer); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s\n", answer)
	return err
}
