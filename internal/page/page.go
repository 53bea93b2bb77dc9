// Package page runs documentation: a Markdown page says in its front matter
// which machine it needs, its blocks are the configuration to boot with and
// the commands to type, and the lines after a command must be its output.
//
// Design: section 10, "Pages". The blocks, by the first word after the fence:
//
//	butane   a configuration to boot with; all of a page are merged
//	clc      the same as a Container Linux Config, ignition as Ignition JSON
//	console  lines after "$ " are typed as core, after "# " as root; the
//	         lines that follow must match the output
//	host     the same, typed on the host, with variables such as $SSH_PORT
//
// A line "..." matches any number of lines, "..." within a line any text.
// A command without lines after it must end with status 0, one with lines is
// judged by them. Words after the block's name: wait repeats a command until
// its output matches, for two minutes or as long as wait=300s says, status=3
// demands that exit status, norun shows a block without running it, reboots
// says that its commands restart the machine; what they print is lost then. A
// command that ends in "\" goes on in the next line; one with a here-document
// goes on in the lines that begin with "> ". Each command has a shell of its
// own. A reboot command waits for the machine; pages that share one share such
// restarts too: all go up to theirs, then on behind it.
//
// Limits: of Markdown only fenced blocks and the first heading are read.
package page

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Page is one parsed file.
type Page struct {
	File   string
	Title  string // the first heading
	Meta   Meta
	Blocks []Block // butane, console and host blocks in their order
}

// Kind is what a block is for.
type Kind string

// The kinds that mean something here; blocks of other kinds are text.
const (
	Butane  Kind = "butane"
	Console Kind = "console"
	Host    Kind = "host"
)

// Block is one fenced block.
type Block struct {
	Kind     Kind
	Name     string // a word after the kind, for messages
	Line     int    // of the opening fence, from 1
	Text     string
	Commands []Command // of a console or host block
}

// Command is something to type, and what must come back.
type Command struct {
	Line   int // from 1
	Root   bool
	Text   string
	Want   []string      // lines; none: the output does not matter
	Wait   time.Duration // repeat until the output matches; 0: once
	Status int           // the exit status to demand, or AnyStatus
	Reboot bool          // the machine restarts
}

// AnyStatus means that the exit status is not looked at.
const AnyStatus = -1

// Parse reads a page. The error of a bad one names the file and line.
func Parse(file string, data []byte) (Page, error) {
	lines := strings.Split(strings.ReplaceAll(string(data), "\r\n", "\n"), "\n")
	p := Page{File: file}
	rest, meta, err := parseFront(lines)
	if err != nil {
		return Page{}, fmt.Errorf("%s: %w", file, err)
	}
	p.Meta = meta
	for i := rest; i < len(lines); i++ {
		if title, ok := strings.CutPrefix(lines[i], "# "); ok && p.Title == "" {
			p.Title = strings.TrimSpace(title)
		}
		fence, ok := openFence(lines[i])
		if !ok {
			continue
		}
		end := closeFence(lines, i+1, fence)
		if end < 0 {
			return Page{}, fmt.Errorf("%s:%d: the block has no end", file, i+1)
		}
		block, used, err := parseBlock(fence, i+1, lines[i+1:end])
		if err != nil {
			return Page{}, fmt.Errorf("%s:%w", file, err)
		}
		if used {
			p.Blocks = append(p.Blocks, block)
		}
		i = end
	}
	return p, nil
}

// fence is the line that opens a block (CommonMark 0.31, 4.5).
type fence struct {
	indent int
	mark   byte
	length int
	info   string
}

func openFence(line string) (fence, bool) {
	text := strings.TrimLeft(line, " ")
	f := fence{indent: len(line) - len(text)}
	if text == "" || text[0] != '`' && text[0] != '~' {
		return fence{}, false
	}
	f.mark = text[0]
	f.length = len(text) - len(strings.TrimLeft(text, string(f.mark)))
	f.info = strings.TrimSpace(text[f.length:])
	if f.length < 3 || f.mark == '`' && strings.Contains(f.info, "`") {
		return fence{}, false
	}
	return f, true
}

// closeFence is the index of the line that ends the block, or -1.
func closeFence(lines []string, from int, f fence) int {
	for i := from; i < len(lines); i++ {
		text := strings.TrimSpace(lines[i])
		if len(text) >= f.length && strings.Trim(text, string(f.mark)) == "" {
			return i
		}
	}
	return -1
}

// parseBlock reads one block; used tells whether it is ours. Errors begin
// with the line number.
func parseBlock(f fence, line int, body []string) (b Block, used bool, err error) {
	words := strings.Fields(f.info)
	if len(words) == 0 {
		return Block{}, false, nil
	}
	b = Block{Kind: kindOf(words[0]), Line: line}
	if b.Kind != Butane && b.Kind != Console && b.Kind != Host {
		return Block{}, false, nil
	}
	body = dedent(body, f.indent)
	b.Text = strings.Join(body, "\n") + "\n"
	preset := Command{Status: AnyStatus}
	for _, word := range words[1:] {
		if word == "norun" {
			return Block{}, false, nil
		}
		if err := attribute(word, &b, &preset); err != nil {
			return Block{}, false, fmt.Errorf("%d: %w", line, err)
		}
	}
	if b.Kind != Butane {
		b.Commands, err = parseCommands(body, line+1, preset)
	}
	for _, c := range b.Commands {
		if preset.Reboot && len(c.Want) > 0 {
			return b, true, fmt.Errorf("%d: nothing compares the output of a command that reboots", c.Line)
		}
	}
	return b, true, err
}

// kindOf is what a block is for. Configurations of other languages are known
// by their text.
func kindOf(word string) Kind {
	if word == "clc" || word == "ignition" {
		return Butane
	}
	return Kind(word)
}

// usualWait is enough for what a machine does by itself, on a busy host without
// KVM.
const usualWait = 2 * time.Minute

func attribute(word string, b *Block, c *Command) (err error) {
	name, value, ok := strings.Cut(word, "=")
	switch {
	case word == "wait" && b.Kind != Butane:
		c.Wait = usualWait
	case word == "reboots" && b.Kind == Console:
		c.Reboot = true
	case !ok:
		b.Name = word
	case name == "wait" && b.Kind != Butane:
		c.Wait, err = time.ParseDuration(value)
		if err == nil && (c.Wait <= 0 || c.Wait > time.Hour) {
			err = fmt.Errorf("wait=%s: it must be above 0 and at most 1h", value)
		}
	case name == "status" && b.Kind != Butane:
		c.Status, err = strconv.Atoi(value)
		if err == nil && (c.Status < 0 || c.Status > 255) {
			err = fmt.Errorf("status=%s: it must be 0 to 255", value)
		}
	default:
		err = fmt.Errorf("a %s block has no attribute %q", b.Kind, name)
	}
	return err
}

func dedent(lines []string, n int) []string {
	out := make([]string, len(lines))
	for i, l := range lines {
		for j := 0; j < n && strings.HasPrefix(l, " "); j++ {
			l = l[1:]
		}
		out[i] = l
	}
	return out
}

// parseCommands reads the lines of a console block; the first has number line.
func parseCommands(body []string, line int, preset Command) ([]Command, error) {
	var all []Command
	for i := 0; i < len(body); i++ {
		text, root, ok := prompt(body[i])
		if !ok {
			if len(all) == 0 {
				if strings.TrimSpace(body[i]) == "" {
					continue
				}
				return nil, fmt.Errorf("%d: output before the first command: a command begins with \"$ \" or \"# \"", line+i)
			}
			last := &all[len(all)-1]
			last.Want = append(last.Want, body[i])
			continue
		}
		c := preset
		c.Line, c.Root = line+i, root
		c.Text, i = continued(text, body, i)
		all = append(all, c)
	}
	for i := range all {
		all[i].Want = trimEnd(all[i].Want)
	}
	return all, nil
}

func prompt(line string) (text string, root, ok bool) {
	if text, ok = strings.CutPrefix(line, "$ "); ok {
		return text, false, true
	}
	text, ok = strings.CutPrefix(line, "# ")
	return text, true, ok
}

// continued joins the lines that a command goes on in; it returns the index
// of the last one.
func continued(text string, body []string, i int) (string, int) {
	for strings.HasSuffix(text, `\`) && i+1 < len(body) {
		i++
		text += "\n" + strings.TrimPrefix(body[i], "> ")
	}
	if !strings.Contains(text, "<<") {
		return text, i
	}
	for i+1 < len(body) && (strings.HasPrefix(body[i+1], "> ") || body[i+1] == ">") {
		i++
		text += "\n" + strings.TrimPrefix(strings.TrimPrefix(body[i], ">"), " ")
	}
	return text, i
}

// Runs tells whether the page has a command to type.
func (p Page) Runs() bool {
	for _, b := range p.Blocks {
		if len(b.Commands) > 0 {
			return true
		}
	}
	return false
}
