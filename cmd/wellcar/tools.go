package main

import (
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"
)

const toolsLong = `Fetches the locked tools (QEMU, firmware, mkfs, ...) and unpacks them into the
cache, where all verbs and tests run them from; prints the folder. With a
command, runs that tool of the set.`

func toolsCommand(a *app) *cobra.Command {
	w := &workshop{}
	c := &cobra.Command{
		Use:   "tools [-- COMMAND [ARG]...]",
		Short: "Unpack the tools of the lock, or run one of them",
		Long:  toolsLong,
		Example: `  wellcar tools
  wellcar tools -- fsck.erofs --help`,
		Args: cobra.ArbitraryArgs,
	}
	c.Flags().StringVar(&w.recipeDir, "recipe", defaultRecipe, "folder of the recipe")
	c.Flags().StringVar(&w.archive, "archive", "", "archive address `URL[,SECURITY_URL]`")
	c.RunE = func(c *cobra.Command, args []string) error {
		w.logf = a.show.note
		set, err := w.toolSet(c.Context(), a.show.progress)
		if err != nil {
			return err
		}
		if len(args) == 0 {
			a.show.result("tools", map[string]any{"folder": set.Dir}, set.Dir)
			return nil
		}
		cmd, err := set.Command(c.Context(), args[0], args[1:]...)
		if err != nil {
			return err
		}
		cmd.Stdin, cmd.Stdout, cmd.Stderr = a.in, a.out, a.err
		return cmd.Run()
	}
	return c
}

// gone lists what an old lock had and the new one has not.
func gone(before map[string]string) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(before)) {
		out = append(out, fmt.Sprintf("gone: %s %s", name, before[name]))
	}
	return out
}
