//go:build linux

package health

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"wellcar.dev/internal/format/yamlfault"
)

// Dir is where the checks are declared.
const Dir = "etc/wellcar/health.d"

// DefaultDeadline is how long the checks of a file have, from the start of
// the gate.
const DefaultDeadline = 5 * time.Minute

const (
	longestDeadline = time.Hour
	defaultInterval = 3 * time.Second
	defaultTimeout  = 10 * time.Second // of one try
)

// Check is one thing that has to hold. Exactly one of the kinds is set.
type Check struct {
	Name      string   `yaml:"name"`
	Units     []string `yaml:"units"`     // all are active
	TCP       string   `yaml:"tcp"`       // HOST:PORT takes connections
	HTTP      *HTTP    `yaml:"http"`      // a GET is answered as wanted
	Command   []string `yaml:"command"`   // ends with status 0
	Container string   `yaml:"container"` // docker says healthy, or running if it has no check of its own

	Retries  int      `yaml:"retries"`  // further tries; 0: until the deadline
	Interval Duration `yaml:"interval"` // between tries
	Timeout  Duration `yaml:"timeout"`  // of one try

	deadline time.Duration
	origin   string // FILE:LINE
	base     bool   // the check where none is declared
	late     bool   // its deadline has passed
}

// HTTP is a request and what is wanted of the answer.
type HTTP struct {
	URL    string `yaml:"url"`
	Status int    `yaml:"status"` // 0: any of 200 to 299
	Body   string `yaml:"body"`   // regular expression
}

// Duration is as in "90s".
type Duration time.Duration

// UnmarshalYAML reads a duration.
func (d *Duration) UnmarshalYAML(n *yaml.Node) error {
	v, err := time.ParseDuration(n.Value)
	if err != nil || v <= 0 {
		return fmt.Errorf("line %d: %q is no duration; write one such as 90s", n.Line, n.Value)
	}
	*d = Duration(v)
	return nil
}

type file struct {
	Deadline Duration    `yaml:"deadline"`
	Checks   []yaml.Node `yaml:"checks"`
}

// Load reads all files of the folder below a root, in the order of their
// names. A folder that is not there declares nothing.
func Load(root string) ([]Check, error) {
	names, err := filepath.Glob(filepath.Join(root, Dir, "*.y*ml"))
	if err != nil {
		return nil, err
	}
	sort.Strings(names)
	var all []Check
	var errs []error
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err == nil {
			var checks []Check
			checks, err = Parse(strings.TrimPrefix(name, strings.TrimSuffix(root, "/")), data)
			all = append(all, checks...)
		}
		errs = append(errs, err)
	}
	return all, errors.Join(errs...)
}

// Parse reads one file and reports all that is wrong with it.
func Parse(name string, data []byte) ([]Check, error) {
	var f file
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	if err := d.Decode(&f); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading the health checks: %w", yamlfault.Locate(name, err))
	}
	deadline := time.Duration(f.Deadline)
	if deadline == 0 {
		deadline = DefaultDeadline
	}
	var errs []error
	if deadline > longestDeadline {
		errs = append(errs, fmt.Errorf("%s: a deadline of %s is longer than %s", name, deadline, longestDeadline))
	}
	var checks []Check
	for _, n := range f.Checks {
		var c Check
		if err := n.Decode(&c); err != nil && n.Kind == yaml.MappingNode {
			errs = append(errs, yamlfault.Locate(name, err))
		} else if err := c.complete(&n); err != nil {
			errs = append(errs, fmt.Errorf("%s:%d:%d: %w", name, n.Line, n.Column, err))
		}
		c.deadline, c.origin = deadline, fmt.Sprintf("%s:%d", name, n.Line)
		checks = append(checks, c)
	}
	return checks, errors.Join(errs...)
}

var checkKeys = map[string]bool{"name": true, "units": true, "tcp": true, "http": true, "command": true, "container": true, "retries": true, "interval": true, "timeout": true}

// complete checks what was read from a node and sets what it leaves open.
func (c *Check) complete(n *yaml.Node) error {
	if n.Kind != yaml.MappingNode {
		return errors.New("a check is a mapping, such as - tcp: 127.0.0.1:80")
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if key := n.Content[i].Value; !checkKeys[key] {
			return fmt.Errorf("a check has no key %q; it has units, tcp, http, command or container", key)
		}
	}
	if c.Interval == 0 {
		c.Interval = Duration(defaultInterval)
	}
	if c.Timeout == 0 {
		c.Timeout = Duration(defaultTimeout)
	}
	return c.valid()
}

func (c Check) valid() error {
	kinds := 0
	for _, set := range []bool{len(c.Units) > 0, c.TCP != "", c.HTTP != nil, len(c.Command) > 0, c.Container != ""} {
		if set {
			kinds++
		}
	}
	switch {
	case kinds != 1:
		return fmt.Errorf("a check has exactly one of units, tcp, http, command and container, not %d", kinds)
	case c.Retries < 0:
		return fmt.Errorf("%d retries are not possible", c.Retries)
	case len(c.Command) > 0 && !strings.HasPrefix(c.Command[0], "/"):
		return fmt.Errorf("the command %q needs its whole path", c.Command[0])
	case c.HTTP != nil && !strings.HasPrefix(c.HTTP.URL, "http://") && !strings.HasPrefix(c.HTTP.URL, "https://"):
		return fmt.Errorf("the url %q is not one of http or https", c.HTTP.URL)
	case c.HTTP != nil:
		_, err := regexp.Compile(c.HTTP.Body)
		return err
	}
	return nil
}

// String names the check in sentences.
func (c Check) String() string {
	what := c.Name
	switch {
	case what != "":
	case len(c.Units) > 0:
		what = "units " + strings.Join(c.Units, ", ")
	case c.TCP != "":
		what = "tcp " + c.TCP
	case c.HTTP != nil:
		what = "http " + c.HTTP.URL
	case len(c.Command) > 0:
		what = "command " + strings.Join(c.Command, " ")
	default:
		what = "container " + c.Container
	}
	if c.origin == "" {
		return what
	}
	return what + " (" + c.origin + ")"
}
