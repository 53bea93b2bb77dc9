package hermetic

import (
	"bufio"
	"debug/elf"
	"fmt"
	"io"
	"os"
	"strings"
)

// program is how a file must be started.
type program struct {
	script  []string // the words after "#!", or none
	dynamic bool     // an ELF file that names a loader
}

// maxInterpreterLine is how much of a "#!" line counts, bytes, as in Linux.
const maxInterpreterLine = 256

func inspect(file string) (program, error) {
	f, err := os.Open(file)
	if err != nil {
		return program{}, err
	}
	defer f.Close()
	head, err := bufio.NewReader(io.LimitReader(f, maxInterpreterLine)).ReadString('\n')
	if err != nil && err != io.EOF {
		return program{}, fmt.Errorf("reading %s: %w", file, err)
	}
	if line, ok := strings.CutPrefix(head, "#!"); ok {
		words := strings.Fields(line)
		if len(words) == 0 {
			return program{}, fmt.Errorf("%s names no interpreter", file)
		}
		return program{script: words}, nil
	}
	e, err := elf.NewFile(f)
	if err != nil {
		return program{}, fmt.Errorf("%s is neither a script nor an ELF program: %w", file, err)
	}
	for _, p := range e.Progs {
		if p.Type == elf.PT_INTERP {
			return program{dynamic: true}, nil
		}
	}
	return program{}, nil
}
