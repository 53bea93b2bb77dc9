// Wellcar-init is PID 1 of the initrd: it opens the verified /usr, prepares
// the root file system and becomes the system's init. It takes no arguments
// and must be started by the kernel.
package main

import (
	"fmt"
	"os"

	"wellcar.dev/internal/initrd"
)

func main() {
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "wellcar-init: it is for the kernel to start, as the first process of a machine")
		os.Exit(2)
	}
	initrd.Main(initrd.Commands{Run: run, Shell: shell})
}
