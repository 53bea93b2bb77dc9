package image

import (
	"errors"
	"io/fs"
	"regexp"
	"strings"

	"wellcar.dev/internal/image/glob"
	"wellcar.dev/internal/image/users"
	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/release"
)

// Recipe says what an image is made of. It is the content of the folder
// image/: recipe.yaml and, where present, users.yaml, nodes.yaml,
// overlay.yaml and the files of overlay/.
type Recipe struct {
	Name         string               `yaml:"name"`
	Version      string               `yaml:"version"`  // MAJOR.MINOR.PATCH
	Platform     string               `yaml:"platform"` // any name that layout.FindPlatform knows; empty: for none
	Packages     []string             `yaml:"packages"` // group "image" of the lock
	Tools        []string             `yaml:"tools"`    // group "tools"
	Containers   map[string]Container `yaml:"containers"`
	Drop         []string             `yaml:"drop"`         // package names that are never installed
	Remove       []string             `yaml:"remove"`       // glob.List on paths of the tree
	Alternatives map[string]string    `yaml:"alternatives"` // path to link target
	Modules      ModuleRules          `yaml:"modules"`
	Initrd       InitrdRules          `yaml:"initrd"`
	Kernel       Kernel               `yaml:"kernel"`
	Setuid       []string             `yaml:"setuid"` // the only files that may be setuid or setgid
	Budget       Budget               `yaml:"budget"`
	Cmdline      string               `yaml:"cmdline"` // without verity.usrhash=

	Users   users.List    `yaml:"-"`
	Nodes   []NodeRule    `yaml:"-"`
	Overlay []OverlayFile `yaml:"-"` // sorted by path

	source []sourceFile // the whole folder, for the recipe archive
}

// Container is a container image that is built from packages for tests and examples.
type Container struct {
	Packages []string `yaml:"packages"`
	Cmd      []string `yaml:"cmd"`
	Expose   []string `yaml:"expose"`
	Env      []string `yaml:"env"`
}

// ModuleRules are patterns on paths below usr/lib/modules/VERSION, with
// module names ending in ".ko". What Keep matches stays in any case.
type ModuleRules struct {
	Remove []string `yaml:"remove"`
	Keep   []string `yaml:"keep"`
}

// InitrdRules choose the modules of the initrd: Modules by name are always
// loaded, Drivers by path pattern are loaded for the hardware that asks for them.
type InitrdRules struct {
	Modules []string `yaml:"modules"`
	Drivers []string `yaml:"drivers"`
}

// Kernel says which package holds the kernel.
type Kernel struct {
	Package string `yaml:"package"` // regular expression on package names
}

// Budget limits sizes, in bytes; 0 is no limit.
type Budget struct {
	Usr    int64 `yaml:"usr"` // with the verity tree
	Initrd int64 `yaml:"initrd"`
	UKI    int64 `yaml:"uki"`
	File   int64 `yaml:"file"` // any single file; default 120 MB
}

const (
	defaultKernel   = `^linux-image-[0-9]`
	defaultFileSize = 120_000_000
)

// LoadRecipe reads the folder of a recipe. All faults are returned at once,
// each as "file:line: fault".
func LoadRecipe(dir fs.FS) (Recipe, error) {
	r := Recipe{Kernel: Kernel{defaultKernel}, Budget: Budget{File: defaultFileSize}}
	main, err := readYAML(dir, "recipe.yaml", &r)
	if err != nil {
		return Recipe{}, err
	}
	accounts, err := readOptionalYAML(dir, "users.yaml", &r.Users)
	if err != nil {
		return Recipe{}, err
	}
	nodes, err := readOptionalYAML(dir, "nodes.yaml", &r.Nodes)
	if err != nil {
		return Recipe{}, err
	}
	faults := append(r.check(main), checkUsers(r.Users, accounts)...)
	faults = append(faults, checkNodes(r.Nodes, nodes)...)
	if r.source, err = readFolder(dir); err != nil {
		return Recipe{}, err
	}
	if r.Overlay, err = loadOverlay(dir, r.source); err != nil {
		faults = append(faults, err)
	}
	if err := errors.Join(faults...); err != nil {
		return Recipe{}, err
	}
	return r, nil
}

// For is the platform that the image is for; the zero value: for none.
func (r Recipe) For() (layout.Platform, error) {
	if r.Platform == "" {
		return layout.Platform{}, nil
	}
	return layout.FindPlatform(r.Platform)
}

func (r Recipe) check(at yamlFile) []error {
	var faults []error
	fault := func(key, format string, args ...any) {
		faults = append(faults, at.errorf([]any{key}, format, args...))
	}
	if !release.ValidVersion(r.Version) {
		fault("version", "version %q is not MAJOR.MINOR.PATCH in numbers without leading zeros", r.Version)
	}
	if _, err := r.For(); err != nil {
		fault("platform", "%w", err)
	}
	if r.Name == "" {
		fault("name", "the name is missing")
	}
	if _, err := regexp.Compile(r.Kernel.Package); err != nil {
		fault("kernel", "kernel package: %w", err)
	}
	if strings.Contains(r.Cmdline, "usrhash=") || strings.ContainsAny(r.Cmdline, "\n\x00") {
		fault("cmdline", "the command line is one line, and the build adds verity.usrhash= itself")
	}
	for _, list := range []struct {
		keys     []any
		patterns []string
	}{
		{[]any{"remove"}, r.Remove},
		{[]any{"modules", "remove"}, r.Modules.Remove}, {[]any{"modules", "keep"}, r.Modules.Keep},
		{[]any{"initrd", "drivers"}, r.Initrd.Drivers},
	} {
		for i, p := range list.patterns {
			if _, err := glob.CompileList([]string{p}); err != nil {
				faults = append(faults, at.errorf(append(list.keys, i), "%w", errors.Unwrap(err)))
			}
		}
	}
	return append(faults, r.checkPackages(at)...)
}

// checkPackages finds names that are listed twice, or both wanted and dropped.
func (r Recipe) checkPackages(at yamlFile) []error {
	var faults []error
	dropped := map[string]bool{}
	for _, name := range r.Drop {
		dropped[name] = true
	}
	for _, list := range []struct {
		key   string
		names []string
	}{{"packages", r.Packages}, {"tools", r.Tools}, {"drop", r.Drop}} {
		seen := map[string]bool{}
		for i, name := range list.names {
			if seen[name] {
				faults = append(faults, at.errorf([]any{list.key, i}, "package %s is listed twice", name))
			}
			if seen[name] = true; list.key == "packages" && dropped[name] {
				faults = append(faults, at.errorf([]any{list.key, i}, "package %s is also listed under drop", name))
			}
		}
	}
	return faults
}

func checkUsers(list users.List, at yamlFile) []error {
	var faults []error
	for _, p := range users.Check(list) {
		faults = append(faults, at.errorf([]any{p.Kind, p.Index}, "%w", p.Err))
	}
	return faults
}
