package report

import (
	"strings"

	"rsc.io/qr/coding"
)

// quiet is the light border of a QR code, in modules. ISO/IEC 18004 asks for
// 4; readers are content with 2.
const quiet = 2

// maxVersion bounds the size of a code: 97 modules, 51 lines of half blocks.
const maxVersion = 20

// qr draws a code in half blocks, light modules as blocks, since a console
// writes light on dark. Nil: the text is too long.
func qr(text string) []string {
	for v := coding.Version(1); v <= maxVersion; v++ {
		enc := coding.Alpha(text)
		if enc.Bits(v) > v.DataBytes(coding.L)*8 {
			continue
		}
		plan, err := coding.NewPlan(v, coding.L, 0)
		if err != nil {
			return nil
		}
		code, err := plan.Encode(enc)
		if err != nil {
			return nil
		}
		return halfBlocks(code)
	}
	return nil
}

func halfBlocks(code *coding.Code) []string {
	var lines []string
	for y := -quiet; y < code.Size+quiet; y += 2 {
		var b strings.Builder
		for x := -quiet; x < code.Size+quiet; x++ {
			below := y+1 < code.Size+quiet && !code.Black(x, y+1)
			switch above := !code.Black(x, y); {
			case above && below:
				b.WriteRune('█')
			case above:
				b.WriteRune('▀')
			case below:
				b.WriteRune('▄')
			default:
				b.WriteByte(' ')
			}
		}
		lines = append(lines, b.String())
	}
	return lines
}
