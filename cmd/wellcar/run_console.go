package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"
)

// Keys that end a machine instead of going to it.
const (
	endStay    = 0x03 // Ctrl-C
	endConsole = 0x1d // Ctrl-]
)

// stay keeps the console until the machine or the user ends.
func (g *guest) stay(ctx context.Context, a *app, o *runOptions) error {
	if !o.console {
		a.show.note("the machine's console follows; Ctrl-C ends it")
		held, restore, err := g.holdTerminal(ctx, a, endStay)
		if err != nil {
			return err
		}
		defer restore()
		ctx = held
		g.vm.Serial.Tee(a.out)
		if isTerminal(a.in) {
			_, _ = g.vm.Serial.Write([]byte("\n")) // makes the login prompt come again
		}
	}
	select {
	case <-ctx.Done():
		return exitError{code: exitOK} // Ctrl-C is the way to end a ready machine
	case <-g.vm.Done():
		return withCode(exitMachine, g.vm.Wait(context.Background()))
	}
}

// holdTerminal sends what is typed to the machine, except for one key, which
// ends the returned context. Without a terminal it does nothing.
func (g *guest) holdTerminal(ctx context.Context, a *app, end byte) (context.Context, func(), error) {
	in, ok := a.in.(*os.File)
	if !ok || !isTerminal(in) {
		return ctx, func() {}, nil
	}
	before, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return ctx, nil, fmt.Errorf("taking over the terminal: %w", err)
	}
	held, cancel := context.WithCancel(ctx)
	show := a.show
	a.show = newPrinter(crlf{a.out}, crlf{a.err}, a.json)
	go func() {
		typeUntil(in, g.vm.Serial, end)
		cancel()
	}()
	return held, func() {
		cancel()
		a.show = show
		_ = term.Restore(int(in.Fd()), before)
	}, nil
}

// typeUntil copies keys until the one that ends, or the end of input.
func typeUntil(in io.Reader, machine io.Writer, end byte) {
	buf := make([]byte, 256)
	for {
		n, err := in.Read(buf)
		keys := buf[:n]
		i := bytes.IndexByte(keys, end)
		if i >= 0 {
			keys = keys[:i]
		}
		if _, werr := machine.Write(keys); werr != nil || err != nil || i >= 0 {
			return
		}
	}
}
