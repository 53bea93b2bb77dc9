package provision

import (
	"fmt"
	"strings"

	ierrors "github.com/coreos/ignition/v2/config/shared/errors"

	"wellcar.dev/internal/format/unitfile"
)

var duplicateMessage = ierrors.ErrDuplicate.Error()

// What the checks of the upstream packages mean in words that name what to
// do. The text follows the object's name and a colon.
var meanings = map[string][2]string{
	ierrors.ErrPathRelative.Error():             {"the path is not absolute", "begin it with /"},
	ierrors.ErrNoPath.Error():                   {"the path is missing", "give an absolute path"},
	ierrors.ErrDirtyPath.Error():                {"the path is not in its simplest form", "remove //, /./, /../ and a slash at the end"},
	ierrors.ErrFileIllegalMode.Error():          {"the mode is not between 0 and 07777", "in JSON write it in decimal (420 is 0644), in Butane with a leading 0"},
	ierrors.ErrModeSpecialBits.Error():          {"setuid, setgid and sticky bits are ignored before spec 3.6.0", "raise the version, or drop the bits"},
	ierrors.ErrBothIDAndNameSet.Error():         {"owner has both an id and a name", "keep one of the two"},
	ierrors.ErrDuplicate.Error():                {"it is defined twice", "keep one of the entries"},
	ierrors.ErrFileUsedSymlink.Error():          {"the path leads through a link of this config", "write the path that the link leads to"},
	ierrors.ErrDirectoryUsedSymlink.Error():     {"the path leads through a link of this config", "write the path that the link leads to"},
	ierrors.ErrLinkUsedSymlink.Error():          {"the path leads through a link of this config", "write the path that the link leads to"},
	ierrors.ErrLinkTargetRequired.Error():       {"the target is missing", "give the path it leads to"},
	ierrors.ErrHardLinkToDirectory.Error():      {"a hard link cannot lead to a directory", "make it a symbolic link: drop hard"},
	ierrors.ErrHardLinkSpecifiesOwner.Error():   {"the owner of a hard link is ignored", "set it on the file it leads to"},
	ierrors.ErrOverwriteAndNilSource.Error():    {"overwrite is true, but there are no contents", "give contents, or drop overwrite"},
	ierrors.ErrVerificationAndNilSource.Error(): {"there is a hash, but no source that it could be of", "give a source, or drop the hash"},
	ierrors.ErrCompressionInvalid.Error():       {"unknown compression", "write gzip, or leave it out"},
	ierrors.ErrHashMalformed.Error():            {"the hash is not TYPE-HEX", "write sha256- or sha512- and the digits"},
	ierrors.ErrHashWrongSize.Error():            {"the hash has the wrong number of digits", "sha256 has 64, sha512 has 128"},
	ierrors.ErrHashUnrecognized.Error():         {"unknown kind of hash", "use sha256 or sha512"},
	ierrors.ErrInvalidUrl.Error():               {"the source is not a URL", "write it as https://..., or data:, with a space as %20"},
	ierrors.ErrInvalidScheme.Error():            {"nothing is known about this kind of source", "use http, https, tftp, s3, arn, gs, oem or data"},
	ierrors.ErrSourceRequired.Error():           {"the source is missing", "give a URL"},
	ierrors.ErrInvalidSystemdExt.Error():        {"the name has no suffix of a unit", "end it with .service, .timer, .mount or the like"},
	ierrors.ErrInvalidSystemdDropinExt.Error():  {"the name of a drop-in does not end in .conf", "rename it to NAME.conf"},
	ierrors.ErrPathConflictsSystemd.Error():     {"the path is that of a unit or drop-in of this config", "keep only the entry under systemd.units"},
	ierrors.ErrShouldNotExistWithOthers.Error(): {"it shall not exist, yet has other settings", "drop them"},

	ierrors.ErrDiskDeviceRequired.Error():              {"the device is missing", "name it, as /dev/disk/by-id/..."},
	ierrors.ErrPartitionNumbersCollide.Error():         {"two partitions have the same number", "give each its own, or 0 for the next free one"},
	ierrors.ErrPartitionsOverlap.Error():               {"two partitions overlap", "correct start and size"},
	ierrors.ErrPartitionsMisaligned.Error():            {"a partition does not begin at a whole MiB", "correct start"},
	ierrors.ErrZeroesWithShouldNotExist.Error():        {"a partition shall not exist while another has number 0", "give all of them numbers"},
	ierrors.ErrNeedLabelOrNumber.Error():               {"the partition has neither a number nor a label", "give one of the two"},
	ierrors.ErrDuplicateLabels.Error():                 {"two partitions have the same label", "give each its own"},
	ierrors.ErrLabelTooLong.Error():                    {"the label is longer than 36 characters", "shorten it"},
	ierrors.ErrLabelContainsColon.Error():              {"the label has a colon, which partitioning tools take as its end", "leave the colon out"},
	ierrors.ErrDoesntMatchGUIDRegex.Error():            {"this is no GUID", "write it as 01234567-89AB-CDEF-EDCB-A98765432101"},
	ierrors.ErrFilesystemInvalidFormat.Error():         {"the format is not known", "use ext4, btrfs, xfs, vfat or swap, or none to wipe"},
	ierrors.ErrFormatNilWithOthers.Error():             {"the format is missing", "use ext4, btrfs, xfs, vfat or swap"},
	ierrors.ErrLabelNeedsFormat.Error():                {"there is a label, but no format", "give the format, or drop the label"},
	ierrors.ErrExt4LabelTooLong.Error():                {"the label is longer than the 16 characters that ext4 takes", "shorten it"},
	ierrors.ErrBtrfsLabelTooLong.Error():               {"the label is longer than the 256 characters that btrfs takes", "shorten it"},
	ierrors.ErrXfsLabelTooLong.Error():                 {"the label is longer than the 12 characters that xfs takes", "shorten it"},
	ierrors.ErrSwapLabelTooLong.Error():                {"the label is longer than the 15 characters that swap takes", "shorten it"},
	ierrors.ErrVfatLabelTooLong.Error():                {"the label is longer than the 11 characters that vfat takes", "shorten it"},
	ierrors.ErrPartitionsOverwritten.Error():           {"the device is a disk that this config partitions", "name one of its partitions"},
	ierrors.ErrFilesystemImplicitWipe.Error():          {"the disk's table is wiped, and the file system with it", "set wipe_filesystem, or keep the table"},
	ierrors.ErrRaidLevelRequired.Error():               {"the level is missing", "use raid0, raid1, raid5, raid6 or raid10"},
	ierrors.ErrUnrecognizedRaidLevel.Error():           {"the level is not known", "use linear, raid0, raid1, raid4, raid5, raid6 or raid10"},
	ierrors.ErrSparesUnsupportedForLevel.Error():       {"arrays of this level have no spares", "drop spares, or use raid1, raid5, raid6 or raid10"},
	ierrors.ErrRaidDevicesRequired.Error():             {"the devices are missing", "list them"},
	ierrors.ErrLuksLabelTooLong.Error():                {"the label is longer than 47 characters", "shorten it"},
	ierrors.ErrLuksNameContainsSlash.Error():           {"the name has a slash", "write the name without /dev/mapper/"},
	ierrors.ErrInvalidLuksKeyFile.Error():              {"the source of the key file is not valid", "give a URL, or the key inline"},
	ierrors.ErrClevisPinRequired.Error():               {"custom clevis has no pin", "give pin and config"},
	ierrors.ErrUnknownClevisPin.Error():                {"the clevis pin is not known", "use tpm2, tang or sss"},
	ierrors.ErrClevisConfigRequired.Error():            {"custom clevis has no config", "give pin and config"},
	ierrors.ErrClevisCustomWithOthers.Error():          {"custom clevis stands beside tpm2, tang or threshold", "keep one of the two"},
	ierrors.ErrTangThumbprintRequired.Error():          {"the thumbprint of the Tang server is missing", "give what tang-show-keys prints"},
	ierrors.ErrInvalidTangAdvertisement.Error():        {"the advertisement is not JSON", "give what URL/adv of the server returns"},
	ierrors.ErrInvalidProxy.Error():                    {"the proxy is no http or https URL", "write it as http://host:port"},
	ierrors.ErrInsecureProxy.Error():                   {"https resources are fetched through a proxy over plain http", "use an https proxy"},
	ierrors.ErrInvalidHTTPHeader.Error():               {"the header is not valid", "write its name without spaces and colons"},
	ierrors.ErrEmptyHTTPHeaderName.Error():             {"the header has no name", "give it"},
	ierrors.ErrUnsupportedSchemeForHTTPHeaders.Error(): {"headers are sent with http and https only", "drop httpHeaders"},
	ierrors.ErrInvalidS3ARN.Error():                    {"this is no ARN of an S3 object", "write arn:aws:s3:::BUCKET/KEY"},
	ierrors.ErrInvalidS3ObjectVersionId.Error():        {"versionId is empty", "give it, or drop ?versionId="},
	ierrors.ErrNoSystemdExt.Error():                    {"the name has no suffix of a unit", "end it with .service, .timer, .mount or the like"},
	ierrors.ErrInvalidInstantiatedUnit.Error():         {"this is no name of an instance of a template", "write NAME@INSTANCE.service"},
}

// Immaterial tells whether a finding of the upstream packages is about their
// own reading: they lose their place at anchors of YAML and at null.
func Immaterial(message string) bool {
	return strings.HasPrefix(message, "context tree does not match content tree")
}

// describe puts the object at p in front of a text.
func describe(root any, p Path, text string) string {
	name, field := objectAt(root, p)
	switch {
	case name == "" && len(p) == 0:
		return text
	case name == "":
		return p.String() + " " + text
	case field == "":
		return name + ": " + text
	}
	return name + ": " + field + " " + text
}

// Sentence puts a finding of the upstream packages at an element into words.
// Root is the decoded text that the path leads through; place finds elements
// of it. Severity and place of the problem are left to the caller.
func Sentence(root any, p Path, message string, place func(Path) Position) Problem {
	name, _ := objectAt(root, p)
	if name == "" {
		name = p.String()
	}
	text, remedy := message, ""
	switch known, ok := meanings[message]; {
	case ok:
		text, remedy = known[0], known[1]
		if first := firstDuplicate(root, p); first != nil && message == duplicateMessage {
			remedy += fmt.Sprintf(" (the first is at %s)", place(first))
		}
	case strings.HasPrefix(message, "unused key "):
		key := strings.TrimPrefix(message, "unused key ")
		if name == p.String() && name != "" {
			key, name = name, ""
		}
		text = fmt.Sprintf("the key %s is not known here and is ignored", key)
		remedy = "check its spelling and indentation, and the version of the config"
	case isDataURL(p.get(root)) && (strings.HasPrefix(message, "invalid ") || strings.HasPrefix(message, "missing ")):
		text = "the data URL cannot be read: " + message
		remedy = "write data:,TEXT with special characters as %HH, or data:;base64,CODE"
	case strings.HasSuffix(message, "has no install section so enable does nothing"):
		text = "it is enabled, but has no [Install] section, so nothing would start it"
		remedy = "add [Install] with WantedBy=multi-user.target"
	case strings.HasSuffix(message, ": no such file or directory"):
		text = strings.NewReplacer("open ", "there is no file ", "stat ", "there is no folder ", ": no such file or directory", "").Replace(message)
		remedy = "correct the name; it begins at the folder of the config, or at --files-dir"
	case strings.HasPrefix(message, "template unit ") && strings.HasSuffix(message, " doesn't have Install section"):
		text = "it is enabled, but its template has no [Install] section, so nothing would start it"
		remedy = "add [Install] with WantedBy=multi-user.target to the template"
	case strings.HasPrefix(message, unitPrefix):
		text, remedy = "bad unit syntax: "+strings.TrimPrefix(message, unitPrefix), ""
		if contents, ok := p.get(root).(string); ok {
			if _, fault := unitfile.Fault(contents); fault != "" {
				text = "bad unit syntax: " + fault
			}
		}
		remedy = "write [Section] lines and Name=value lines"
	}
	if name != "" {
		text = name + ": " + text
	}
	return Problem{Message: text, Remedy: remedy}
}

func isDataURL(v any) bool {
	s, ok := v.(string)
	return ok && strings.HasPrefix(s, "data:")
}

// What the elements of each list are called, and the field that names one.
var objects = map[string][2]string{
	"storage.files": {"file", "path"}, "storage.directories": {"directory", "path"}, "storage.links": {"link", "path"},
	"storage.trees": {"tree", "local"}, "storage.disks": {"disk", "device"}, "storage.raid": {"RAID array", "name"},
	"storage.luks": {"LUKS volume", "name"}, "storage.filesystems": {"file system on", "device"},
	"systemd.units": {"unit", "name"}, "networkd.units": {"network unit", "name"}, "passwd.users": {"user", "name"}, "passwd.groups": {"group", "name"},
	"ignition.config.merge": {"merged config", "source"},
}

// objectAt names the object that p lies in, and the rest of the path.
func objectAt(root any, p Path) (name, field string) {
	for n := 2; n < len(p); n++ {
		known, ok := objects[p[:n].String()]
		if _, isIndex := p[n].(int); !ok || !isIndex {
			continue
		}
		name = known[0] + " " + nameAt(root, p[:n+1], known[1])
		rest := p[n+1:]
		if len(rest) >= 2 && rest[0] == "dropins" {
			name = "drop-in " + nameAt(root, p[:n+3], "name") + " of " + name
			rest = rest[2:]
		}
		return name, Path(rest).String()
	}
	return "", ""
}

func nameAt(root any, p Path, field string) string {
	if s, ok := p.with(field).get(root).(string); ok && s != "" {
		return s
	}
	return "without " + field + " (" + p.String() + ")"
}

// firstDuplicate leads to the first entry with the same name as the one at p,
// nil if there is none before it. Files, directories and links share names.
func firstDuplicate(root any, p Path) Path {
	if len(p) != 3 {
		return nil
	}
	lists := [][]string{{p[0].(string), p[1].(string)}}
	field, ok := objects[p[:2].String()]
	if !ok {
		return nil
	}
	if field[1] == "path" {
		lists = [][]string{{"storage", "directories"}, {"storage", "files"}, {"storage", "links"}}
	}
	want := nameAt(root, p, field[1])
	for _, l := range lists {
		entries, _ := Path{l[0], l[1]}.get(root).([]any)
		for i := range entries {
			at := Path{l[0], l[1], i}
			if at.String() != p.String() && nameAt(root, at, field[1]) == want {
				return at
			}
		}
	}
	return nil
}
