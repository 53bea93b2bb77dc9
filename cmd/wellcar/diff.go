package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"wellcar.dev/internal/image"
)

const diffLong = `Lists the packages, files, units and kernel options in which two builds differ.
A and B are build folders or the images in them. Exit status 3 if they differ.`

func diffCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "diff A B",
		Short:   "List what differs between two builds",
		Long:    diffLong,
		Example: `  wellcar diff old/wellcar.img out/wellcar.img`,
		Args:    cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			before, err := image.ReadState(buildFolder(args, 0, ""))
			if err != nil {
				return err
			}
			after, err := image.ReadState(buildFolder(args, 1, ""))
			if err != nil {
				return err
			}
			return reportDiff(a, image.Diff(before, after))
		},
	}
}

func reportDiff(a *app, changes []image.Change) error {
	lines := make([]string, len(changes))
	for i, c := range changes {
		lines[i] = c.String()
	}
	if len(changes) == 0 {
		a.show.result("diff", map[string]any{"changes": lines}, "no differences")
		return nil
	}
	a.show.result("diff", map[string]any{"changes": lines}, strings.Join(lines, "\n"))
	return withCode(exitDiffers, fmt.Errorf("%d differences", len(changes)))
}
