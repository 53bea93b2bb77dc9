package report

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Encode writes the report as lines of a letter, a blank and a value. Empty
// fields have no line.
func (r Report) Encode() []byte {
	r = r.Bound()
	var b strings.Builder
	line := func(key byte, value string) {
		if value != "" {
			b.WriteString(string(key) + " " + value + "\n")
		}
	}
	number := func(key byte, n int) {
		if n != 0 {
			line(key, strconv.Itoa(n))
		}
	}
	if r.Failed {
		line('f', "1")
	}
	line('p', r.Phase)
	line('s', r.Sentence)
	line('a', r.At)
	number('c', r.Column)
	number('m', r.Mark)
	for _, l := range r.Excerpt {
		line('x', strconv.Itoa(l.Number)+" "+l.Text)
	}
	for i, n := range []int{r.Done, r.Kept, r.Pending} {
		number("dkq"[i], n)
	}
	for _, t := range r.Last {
		line('l', t)
	}
	for _, t := range r.Next {
		line('n', t)
	}
	line('o', r.Source)
	line('b', r.Boot)
	line('v', r.System)
	number('t', int(r.Took.Milliseconds()))
	return []byte(b.String())
}

var errEncoding = errors.New("this is no report")

// Decode reads what Encode wrote. Lines with a letter that is not known are
// those of a later version and are passed over.
func Decode(data []byte) (Report, error) {
	var r Report
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSuffix(line, "\n")
		if len(line) < 2 || line[1] != ' ' {
			return Report{}, fmt.Errorf("reading a report: %w", errEncoding)
		}
		if err := r.set(line[0], line[2:]); err != nil {
			return Report{}, fmt.Errorf("reading a report: line %q: %w", line, err)
		}
	}
	return r.Bound(), nil
}

func (r *Report) set(key byte, value string) error {
	texts := map[byte]*string{'p': &r.Phase, 's': &r.Sentence, 'a': &r.At, 'o': &r.Source, 'b': &r.Boot, 'v': &r.System}
	numbers := map[byte]*int{'c': &r.Column, 'm': &r.Mark, 'd': &r.Done, 'k': &r.Kept, 'q': &r.Pending}
	switch {
	case texts[key] != nil:
		*texts[key] = value
	case numbers[key] != nil:
		return number(value, numbers[key])
	case key == 'f':
		r.Failed = true
	case key == 'l':
		r.Last = append(r.Last, value)
	case key == 'n':
		r.Next = append(r.Next, value)
	case key == 'x':
		n, text, _ := strings.Cut(value, " ")
		l := Line{Text: text}
		r.Excerpt = append(r.Excerpt, l)
		return number(n, &r.Excerpt[len(r.Excerpt)-1].Number)
	case key == 't':
		var ms int
		err := number(value, &ms)
		r.Took = time.Duration(ms) * time.Millisecond
		return err
	}
	return nil
}

// number reads a count; what is in a report has at most nine digits.
func number(value string, to *int) error {
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 || n > maxCount {
		return fmt.Errorf("%w: %q is no count", errEncoding, value)
	}
	*to = n
	return nil
}
