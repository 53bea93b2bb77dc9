package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"wellcar.dev/internal/image"
	"wellcar.dev/internal/provision"
	"wellcar.dev/internal/qemu"
	"wellcar.dev/internal/qemu/registry"
)

// engines joins the engines for the verbs that run machines.
func engines() joins {
	w := &workshop{recipeDir: defaultRecipe, out: defaultOut}
	return joins{
		tools: func(ctx context.Context, report progress) (qemu.Tools, error) {
			return w.toolSet(ctx, report)
		},
		image:      w.ensureImage,
		translate:  translate,
		merge:      mergeConfigs,
		containers: w.containers,
	}
}

// translate gives a machine its config and the text it was made of.
func translate(name string, data []byte) (ignition, source []byte, err error) {
	s, report := parseSource(name, data, sourceFlags{})
	switch {
	case report.Err() != nil:
		return nil, nil, report.Err()
	case s.cloud != nil:
		return userDataConfig(data), provision.NewSource(name, data, nil).Encode(), nil
	case !s.config.Provided():
		return nil, nil, fmt.Errorf("%s: this is no config, so nothing can be provisioned from it", name)
	}
	return s.config.JSON, provision.NewSource(name, data, s.config.Positions()).Encode(), nil
}

// mergeConfigs lays Ignition configs over one another, the last on top.
func mergeConfigs(configs ...[]byte) ([]byte, error) {
	var merged provision.Config
	for i, data := range configs {
		c, report := provision.Load("config "+strconv.Itoa(i+1), data, provision.LoadOptions{})
		if err := report.Err(); err != nil {
			return nil, err
		}
		merged = provision.Merge(merged, c)
	}
	return merged.JSON, nil
}

// containers makes the images that the registry serves to machines.
func (w *workshop) containers(ctx context.Context, report progress) (map[string]v1.Image, error) {
	in, err := w.input(ctx, report, containerGroups)
	if err != nil {
		return nil, err
	}
	images := map[string]v1.Image{}
	for name, c := range in.Recipe.Containers {
		tree, _, err := image.ContainerTree(ctx, in, name)
		if err != nil {
			return nil, err
		}
		overlay := os.DirFS(filepath.Join(w.recipeDir, "containers", name))
		if err := layOver(tree, overlay); err != nil {
			return nil, fmt.Errorf("making the container %s: %w", name, err)
		}
		ports, err := tcpPorts(c.Expose)
		if err != nil {
			return nil, fmt.Errorf("making the container %s: %w", name, err)
		}
		images[name], err = registry.ImageFromTree(tree, registry.Config{Cmd: c.Cmd, Env: c.Env, Ports: ports})
		if err != nil {
			return nil, fmt.Errorf("making the container %s: %w", name, err)
		}
	}
	return images, nil
}

// tcpPorts reads "80/tcp".
func tcpPorts(words []string) ([]int, error) {
	var ports []int
	for _, word := range words {
		n, err := strconv.ParseUint(strings.TrimSuffix(word, "/tcp"), 10, 16)
		if err != nil {
			return nil, fmt.Errorf("expose %q: write PORT/tcp", word)
		}
		ports = append(ports, int(n))
	}
	slices.Sort(ports)
	return ports, nil
}

// errAbsent is what a folder that need not exist gives.
func ignoreAbsent(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
