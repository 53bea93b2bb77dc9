// Package clc translates Container Linux Configs, the YAML without a variant
// that the config transpiler ct reads, to Ignition JSON of spec 2.3.0 and
// keeps where each element came from. Only programs of the host import it.
//
// The reader is ct itself, github.com/flatcar/container-linux-config-transpiler;
// its documents say what the sections mean:
// https://github.com/flatcar/container-linux-config-transpiler/blob/main/doc/configuration.md
//
//	translate := clc.Translator("ec2") // or "" without dynamic data
//	config, report := provision.Load("c.yaml", text, provision.LoadOptions{CLC: translate})
package clc

import (
	"encoding/json"
	"flag"
	"slices"
	"strings"
	"sync"

	"github.com/flatcar/container-linux-config-transpiler/config"
	"github.com/flatcar/container-linux-config-transpiler/config/platform"
	"github.com/flatcar/container-linux-config-transpiler/config/types"
	"github.com/flatcar/ignition/config/validate/report"

	"wellcar.dev/internal/provision"
)

// Platforms are those that {PRIVATE_IPV4} and the like can be translated for.
func Platforms() []string { return slices.Clone(platform.Platforms) }

// Translator returns one for a platform of Platforms, or for none if it is
// empty. Configs without dynamic data have no need of a platform, so any other
// serves them.
func Translator(name string) provision.Translator {
	return func(file string, data []byte, filesDir string, strict bool) ([]byte, provision.Report, provision.Positions) {
		return translate(file, data, filesDir, name)
	}
}

func translate(name string, data []byte, filesDir, platform string) ([]byte, provision.Report, provision.Positions) {
	text := provision.NewYAML(name, data)
	in, ast, found := config.Parse(data)
	if ast == nil || found.IsFatal() {
		return nil, orYAML(text, found), nil
	}
	problems := convert(text, found)
	given := platform
	if !slices.Contains(Platforms(), platform) {
		platform = ""
	}
	var out any
	withFilesDir(filesDir, func() { out, found = config.Convert(in, platform, withMadeUnits(in, ast, platform)) })
	found = later(found)
	if slices.ContainsFunc(found.Entries, braceFault) {
		problems = append(problems, braces(text, given)...)
		found.Entries = slices.DeleteFunc(found.Entries, func(e report.Entry) bool { return braceFault(e) && problems.Err() != nil })
	}
	problems = append(problems, convert(text, found)...)
	if problems.Err() != nil {
		return nil, problems, nil
	}
	ignition, err := json.Marshal(out)
	if err != nil {
		return nil, append(problems, provision.Problem{Severity: provision.Error, Message: err.Error(), Position: text.Position(nil)}), nil
	}
	return ignition, problems, positions(text, in, ignition)
}

// ct 0.9.4 looks up the folder of local files as the flag files-dir of the
// whole process (config/types/files.go, flag.Lookup, in a converter that init
// registers), and Convert takes no folder. So that flag is made here, once, and
// one translation at a time sets it. This goes when a release of ct, or a fork
// that replaces it, takes the folder as an argument.
var filesDirFlag struct {
	sync.Mutex
	once sync.Once
}

func withFilesDir(dir string, do func()) {
	filesDirFlag.Lock()
	defer filesDirFlag.Unlock()
	filesDirFlag.once.Do(func() { flag.String("files-dir", "", "") })
	flag.Set("files-dir", dir)
	do()
}

// orYAML gives the problems of a text that could not be read, which are those
// of the YAML reader if there is no other.
func orYAML(text provision.YAML, found report.Report) provision.Report {
	problems := provision.Report{}
	if wrong := badVersions(text); len(wrong) > 0 && len(found.Entries) == 1 && found.Entries[0].Line == 0 {
		return wrong // the reader stops at the first, and says only that
	}
	for _, e := range found.Entries {
		if e.Line == 0 && (strings.HasPrefix(e.Message, "yaml: ") || text.Value == nil) {
			problems = append(problems, text.Problems(yamlError(e.Message))...)
			continue
		}
		problems = append(problems, problem(text, e))
	}
	return problems
}

// yamlError is the text of an error of the YAML reader as that error.
type yamlError string

func (e yamlError) Error() string { return string(e) }

func sections(in types.Config) map[string]string {
	update := "update"
	if in.Update == nil {
		update = "locksmith"
	}
	return map[string]string{
		"docker.service": "docker", "etcd-member.service": "etcd", "flanneld.service": "flannel",
		"/etc/coreos/update.conf": update,
	}
}
