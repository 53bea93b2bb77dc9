package qemu

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// Key is a key pair to log in with.
type Key struct {
	Signer ssh.Signer
	Line   string // the public half as authorized_keys has it, without line end
	PEM    []byte // the private half, OpenSSH format
}

// NewKey makes an Ed25519 key.
func NewKey(comment string) (Key, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return Key{}, fmt.Errorf("making an SSH key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(private, comment)
	if err != nil {
		return Key{}, fmt.Errorf("writing an SSH key: %w", err)
	}
	return ParseKey(pem.EncodeToMemory(block), comment)
}

// LoadKey reads a private key file without a passphrase.
func LoadKey(file string) (Key, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return Key{}, fmt.Errorf("reading the SSH key: %w", err)
	}
	key, err := ParseKey(data, "")
	if err != nil {
		return Key{}, fmt.Errorf("%s: %w", file, err)
	}
	return key, nil
}

// ParseKey reads a private key in PEM form.
func ParseKey(data []byte, comment string) (Key, error) {
	signer, err := ssh.ParsePrivateKey(data)
	if err != nil {
		return Key{}, fmt.Errorf("reading an SSH private key: %w", err)
	}
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
	return Key{Signer: signer, Line: strings.TrimSpace(line + " " + comment), PEM: data}, nil
}

// ErrGone is the error of a connection that is cut, before anything ran.
var ErrGone = errors.New("opening an SSH session")

// Client is an SSH connection to a machine.
type Client struct{ conn *ssh.Client }

// Result is what a command left.
type Result struct {
	Stdout, Stderr []byte
	Code           int // exit status; 128+n after signal n
}

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }

// Wait returns when the connection is gone.
func (c *Client) Wait() { _ = c.conn.Wait() }

// Run runs a command and collects what it prints. A status other than 0 is
// no error.
func (c *Client) Run(ctx context.Context, command string) (Result, error) {
	var out, errs bytes.Buffer
	code, err := c.Stream(ctx, command, nil, &out, &errs)
	return Result{out.Bytes(), errs.Bytes(), code}, err
}

// Ask is Run for a machine that may go down meanwhile: without an answer in
// time the connection is closed, for nothing else would end the wait.
func (c *Client) Ask(ctx context.Context, limit time.Duration, command string) (Result, error) {
	ctx, stop := context.WithTimeout(ctx, limit)
	defer stop()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	return c.Run(ctx, command)
}

// Stream runs a command with the given streams, of which any may be nil.
func (c *Client) Stream(ctx context.Context, command string, in io.Reader, out, errs io.Writer) (int, error) {
	session, err := c.conn.NewSession()
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrGone, err)
	}
	defer session.Close()
	end := context.AfterFunc(ctx, func() { session.Close() })
	defer end()
	session.Stdin, session.Stdout, session.Stderr = in, out, errs
	return exitCode(ctx, command, session.Run(command))
}

func exitCode(ctx context.Context, command string, err error) (int, error) {
	var exit *ssh.ExitError
	switch {
	case err == nil:
		return 0, nil
	case errors.As(err, &exit):
		return exit.ExitStatus(), nil
	case ctx.Err() != nil:
		return 0, fmt.Errorf("running %q in the machine: %w", command, context.Cause(ctx))
	}
	return 0, fmt.Errorf("running %q in the machine: %w", command, err)
}

// Copy writes a file of the machine as the logged-in user. The mode is
// permission bits, as in 0o644.
func (c *Client) Copy(ctx context.Context, data io.Reader, path string, mode uint32) error {
	var errs bytes.Buffer
	command := fmt.Sprintf("cat >%s && chmod %04o %s", Quote(path), mode, Quote(path))
	code, err := c.Stream(ctx, command, data, nil, &errs)
	if err == nil && code != 0 {
		err = fmt.Errorf("exit status %d: %s", code, strings.TrimSpace(errs.String()))
	}
	if err != nil {
		return fmt.Errorf("copying to %s in the machine: %w", path, err)
	}
	return nil
}

// Shell runs a login shell, or the command if there is one, on a terminal of
// the given size. The caller has set its own terminal to raw mode.
func (c *Client) Shell(ctx context.Context, command, term string, columns, rows int, in io.Reader, out, errs io.Writer) (int, error) {
	session, err := c.conn.NewSession()
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrGone, err)
	}
	defer session.Close()
	end := context.AfterFunc(ctx, func() { session.Close() })
	defer end()
	if err := session.RequestPty(term, rows, columns, ssh.TerminalModes{}); err != nil {
		return 0, fmt.Errorf("asking for a terminal: %w", err)
	}
	session.Stdin, session.Stdout, session.Stderr = in, out, errs
	if command != "" {
		return exitCode(ctx, command, session.Run(command))
	}
	if err := session.Shell(); err != nil {
		return 0, fmt.Errorf("starting a shell: %w", err)
	}
	return exitCode(ctx, "a shell", session.Wait())
}
