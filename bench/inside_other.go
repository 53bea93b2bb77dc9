//go:build !linux

package main

import (
	"errors"
	"syscall"
)

const insideWord = "inside"

var errNotLinux = errors.New("mkosi runs on Linux only")

func insideAttr() *syscall.SysProcAttr { return nil }

func mayEnter() error { return errNotLinux }

func runInside(string, string, []string) error { return errNotLinux }
