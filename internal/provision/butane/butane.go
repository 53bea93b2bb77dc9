// Package butane translates Butane texts of variant flatcar to Ignition JSON
// and keeps where each element came from. Only programs of the host import
// it; machines read Ignition JSON.
//
// A top-level key "health" is ours: the checks that a new version has to pass,
// which become a file of the machine.
//
// Versions 1.0.0, 1.1.0 and 1.2.0-experimental of
// https://coreos.github.io/butane/specs/ are read. Other variants are refused
// with what to write instead.
//
//	config, report := provision.Load("hello.bu", text, provision.LoadOptions{Butane: butane.Translate})
package butane

import (
	"fmt"

	"github.com/coreos/butane/config/common"
	"github.com/coreos/butane/config/flatcar/v1_0"
	"github.com/coreos/butane/config/flatcar/v1_1"
	"github.com/coreos/butane/config/flatcar/v1_2_exp"
	"github.com/coreos/butane/translate"
	vpath "github.com/coreos/vcontext/path"
	"github.com/coreos/vcontext/report"
	"github.com/coreos/vcontext/tree"
	"gopkg.in/yaml.v3"

	"wellcar.dev/internal/provision"
)

// version is one version of the variant.
type version struct {
	translate func([]byte, common.TranslateBytesOptions) ([]byte, report.Report, error)
	origins   func([]byte, common.TranslateOptions) translate.TranslationSet
}

var versions = map[string]version{
	"1.0.0": {v1_0.ToIgn3_3Bytes, func(in []byte, o common.TranslateOptions) translate.TranslationSet {
		var c v1_0.Config
		yaml.Unmarshal(in, &c)
		_, set, _ := c.ToIgn3_3Unvalidated(o)
		return set
	}},
	"1.1.0": {v1_1.ToIgn3_4Bytes, func(in []byte, o common.TranslateOptions) translate.TranslationSet {
		var c v1_1.Config
		yaml.Unmarshal(in, &c)
		_, set, _ := c.ToIgn3_4Unvalidated(o)
		return set
	}},
	"1.2.0-experimental": {v1_2_exp.ToIgn3_7Bytes, func(in []byte, o common.TranslateOptions) translate.TranslationSet {
		var c v1_2_exp.Config
		yaml.Unmarshal(in, &c)
		_, set, _ := c.ToIgn3_7Unvalidated(o)
		return set
	}},
}

// Translate is a provision.Translator. FilesDir is the folder of the files
// that the text embeds; empty forbids embedding. Strict makes warnings
// errors.
func Translate(name string, data []byte, filesDir string, strict bool) ([]byte, provision.Report, provision.Positions) {
	text := provision.NewYAML(name, data)
	v, problem := versionOf(text, data)
	if problem != nil {
		return nil, provision.Report{*problem}, nil
	}
	data, checks := takeHealth(data)
	options := common.TranslateOptions{FilesDir: filesDir}
	out, found, err := v.translate(data, common.TranslateBytesOptions{TranslateOptions: options})
	problems := convert(text, found)
	switch {
	case err == nil:
	case problems.Err() == nil:
		problems = append(problems, text.Problems(err)...)
	}
	if strict {
		for i := range problems {
			if problems[i].Severity == provision.Warning {
				problems[i].Severity = provision.Error
			}
		}
	}
	if err != nil || problems.Err() != nil {
		return nil, problems, nil
	}
	where := positions(text, v.origins(data, options))
	if checks != nil {
		if out, err = putHealth(out, checks, text, where); err != nil {
			return nil, append(problems, text.Problems(err)...), nil
		}
	}
	return out, problems, where
}

// versionOf reads variant and version, or says what is wrong with them.
func versionOf(text provision.YAML, data []byte) (version, *provision.Problem) {
	var top struct {
		Variant, Version string
	}
	if err := yaml.Unmarshal(data, &top); err != nil && text.Value == nil {
		return version{}, &text.Problems(err)[0]
	}
	p := &provision.Problem{Severity: provision.Error, Path: "version", Position: text.Position(provision.Path{"version"}),
		Remedy: "write version: 1.1.0"}
	v, known := versions[top.Version]
	switch {
	case top.Variant == "":
		p.Path, p.Position = "variant", text.Position(provision.Path{"variant"})
		p.Message, p.Remedy = "the variant is missing", "write variant: flatcar and version: 1.1.0"
	case top.Variant != "flatcar":
		p.Path, p.Position = "variant", text.Position(provision.Path{"variant"})
		p.Message = fmt.Sprintf("variant %q is not that of this system", top.Variant)
		p.Remedy = "write variant: flatcar and version: 1.1.0, and drop what belongs to the other system"
	case top.Version == "":
		p.Message = "the version is missing"
	case !known:
		p.Message = fmt.Sprintf("version %q of variant flatcar is not known", top.Version)
		p.Remedy = "write 1.0.0, 1.1.0 or 1.2.0-experimental"
	default:
		return v, nil
	}
	return version{}, p
}

// convert turns the findings of the translation into problems of ours.
func convert(text provision.YAML, found report.Report) provision.Report {
	var out provision.Report
	for _, e := range found.Entries {
		if provision.Immaterial(e.Message) || e.Message == common.ErrUnkownIgnitionVersion.Error() || e.Message == "unused key <<" {
			continue // the merged config is read later; << is a merge key of YAML
		}
		path, isKey := plain(e.Context)
		p := provision.Sentence(text.Value, path, e.Message, text.Position)
		p.Severity, p.Path = severity(e.Kind), path.String()
		p.Position = text.Position(path)
		if isKey {
			p.Position = text.Key(path)
		}
		if at, ok := text.Fault(path, e.Message); ok {
			p.Position = at
		}
		if p.Remedy == "" {
			p.Remedy = remedies[e.Message]
		}
		out = append(out, p)
	}
	return out
}

var remedies = map[string]string{
	common.ErrDecimalMode.Error():                        "write it with a leading zero: 0644",
	common.ErrNoFilesDir.Error():                         "name the folder with --files-dir",
	common.ErrTooManyResourceSources.Error():             "keep one of inline, local and source",
	common.ErrFilesDirEscape.Error():                     "keep embedded files below the files folder",
	common.ErrClevisSupport.Error():                      "use version 1.2.0-experimental",
	common.ErrTooManySystemdSources.Error():              "keep one of contents and contents_local",
	common.ErrTreeNotDirectory.Error():                   "name a folder, or write the file under files",
	common.ErrTreeNoLocal.Error():                        "name the folder to embed: local: site",
	common.ErrFileType.Error():                           "leave sockets, pipes and devices out of the folder",
	common.ErrNodeExists.Error():                         "keep the entry of one of the two",
	common.ErrMountUnitNoPath.Error():                    "give the mount point: path: /srv/data",
	common.ErrMountUnitNoFormat.Error():                  "give the format: ext4, btrfs, xfs, vfat or swap",
	common.ErrQuadletBadExtension.Error():                "rename it",
	common.ErrTemplateInstanceCannotHaveContents.Error(): "give the contents to the template, NAME@.service",
}

func plain(c vpath.ContextPath) (provision.Path, bool) {
	out, isKey := make(provision.Path, len(c.Path)), false
	for i, e := range c.Path {
		if k, ok := e.(tree.Key); ok {
			out[i], isKey = string(k), true
			continue
		}
		out[i] = e
	}
	return out, isKey
}

func severity(k report.EntryKind) provision.Severity {
	switch k {
	case report.Warn:
		return provision.Warning
	case report.Info:
		return provision.Info
	}
	return provision.Error
}

// positions says for each element of the Ignition config where it came from.
func positions(text provision.YAML, set translate.TranslationSet) provision.Positions {
	out := make(provision.Positions, len(set.Set))
	for _, t := range set.Set {
		to, _ := plain(t.To)
		from, _ := plain(t.From)
		out[to.String()] = text.Position(from)
	}
	return out
}
