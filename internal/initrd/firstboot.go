//go:build linux

package initrd

// FirstBoot is the decision whether to provision.
type FirstBoot struct {
	Run    bool
	Unflag bool // delete the flag files after success
	Why    string
}

// DecideFirstBoot follows the word flatcar.first_boot, else the flag file on
// the EFI system partition.
func DecideFirstBoot(word Word, flag bool) FirstBoot {
	if !word.Present {
		if flag {
			return FirstBoot{Run: true, Unflag: true, Why: "the first-boot flag is on the EFI system partition"}
		}
		return FirstBoot{Why: "there is no first-boot flag"}
	}
	switch word.Value {
	case "", "0", "off", "no":
		return FirstBoot{Why: "flatcar.first_boot=" + word.Value}
	case "detected":
		return FirstBoot{Run: true, Unflag: true, Why: "flatcar.first_boot=detected"}
	}
	return FirstBoot{Run: true, Why: "flatcar.first_boot=" + word.Value}
}
