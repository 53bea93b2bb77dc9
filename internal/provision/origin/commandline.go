package origin

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"

	"wellcar.dev/internal/format/cmdline"
	"wellcar.dev/internal/provision"
	"wellcar.dev/internal/provision/platform"
)

// Words are what the kernel command line says of the config.
type Words struct {
	URL          string // empty: none
	Device, Path string // label of a file system, and a file on it
}

// names of the word with the URL.
var urlWords = []string{"ignition.config.url", "flatcar.config.url", "coreos.config.url"}

// ParseWords reads the kernel command line. Empty values and URLs that are
// none count as absent; of several URLs the last one is taken.
func ParseWords(line string) Words {
	var w Words
	for _, arg := range cmdline.Parse(line).Args {
		switch {
		case arg.Value == "":
		case isURLWord(arg.Name):
			if u, err := url.Parse(arg.Value); err == nil && u.Scheme != "" {
				w.URL = arg.Value
			}
		case arg.Name == "ignition.config.device":
			w.Device = arg.Value
		case arg.Name == "ignition.config.path":
			w.Path = arg.Value
		}
	}
	return w
}

func isURLWord(name string) bool {
	for _, w := range urlWords {
		if name == w {
			return true
		}
	}
	return false
}

// Reader reads a file of a file system with a label, waiting for it.
type Reader func(ctx context.Context, label, name string) ([]byte, error)

// Largest config that is fetched, in bytes.
const fetchedMax = 64 << 20

// Find gets the config that the words name, if they do.
func (w Words) Find(ctx context.Context, f provision.Fetcher, read Reader) (found platform.Found, ok bool, err error) {
	switch {
	case w.URL != "":
		found, err = w.fetch(ctx, f)
		return found, true, err
	case w.Device == "" && w.Path == "":
		return found, false, nil
	}
	if err := w.checkFile(); err != nil {
		return found, true, err
	}
	found.Name = path.Join("/", w.Path) + " on " + w.Device
	if found.Data, err = read(ctx, w.Device, w.Path); err != nil {
		err = fmt.Errorf("reading the config %s, as the kernel command line says: %w", found.Name, err)
	}
	return found, true, err
}

func (w Words) checkFile() error {
	switch {
	case w.Device == "":
		return errors.New("the kernel command line has ignition.config.path= without ignition.config.device=; give both")
	case w.Path == "":
		return errors.New("the kernel command line has ignition.config.device= without ignition.config.path=; give both")
	case strings.Contains(w.Device, "/") || w.Device == "." || w.Device == "..":
		return fmt.Errorf("the kernel command line has ignition.config.device=%s; give the label of a file system", w.Device)
	}
	return nil
}

func (w Words) fetch(ctx context.Context, f provision.Fetcher) (platform.Found, error) {
	data, err := provision.NewRemoteContent(provision.Request{URL: w.URL}).Read(ctx, f, fetchedMax)
	return platform.Found{Name: w.URL, Data: data}, err
}
