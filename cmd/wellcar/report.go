package main

import (
	"encoding/json"
	"strings"

	"github.com/spf13/cobra"

	"wellcar.dev/internal/report"
)

const reportLong = `Reads the code that a machine shows on its screen when it cannot start: the
text that a QR reader gives. It has the sentence that says why, the lines of
your config, what was done so far and what the machine does next.`

func reportCommand(a *app) *cobra.Command {
	var text string
	c := &cobra.Command{
		Use:     "report --decode TEXT",
		Short:   "Read the code that a failed machine shows",
		Long:    reportLong,
		Example: `  wellcar report --decode 'W1:TC08203ED .CTA1BHB8M5B%L1LGC+0:*EFVV4GS$W0X54C557LG3S81RJ112U50U5'`,
		Args:    cobra.NoArgs,
	}
	c.Flags().StringVar(&text, "decode", "", "the `text` of the code")
	_ = c.MarkFlagRequired("decode")
	c.RunE = func(*cobra.Command, []string) error {
		r, err := report.DecodeText(text)
		if err != nil {
			return withCode(exitUsage, err)
		}
		a.show.result("report", map[string]any{"report": json.RawMessage(r.JSON())}, strings.Join(report.Words(r), "\n")+"\n")
		return nil
	}
	return c
}
