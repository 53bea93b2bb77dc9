package provision

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/coreos/ignition/v2/config/util"
	types "github.com/coreos/ignition/v2/config/v3_7_experimental/types"
	"github.com/vincent-petithory/dataurl"
)

// OutputFiles are files for the root user only, by their paths, as a config
// has them.
func OutputFiles(contents map[string][]byte) []types.File {
	var files []types.File
	for _, path := range slices.Sorted(maps.Keys(contents)) {
		f := types.File{Node: types.Node{Path: path, Overwrite: util.BoolToPtr(true)}}
		f.Mode = util.IntToPtr(0o600)
		f.Contents.Source = util.StrToPtr(dataurl.EncodeBytes(contents[path]))
		files = append(files, f)
	}
	return files
}

// AddFiles lays files over a config. name says where they come from.
func AddFiles(c Config, name string, files []types.File) (Config, error) {
	if len(files) == 0 {
		return c, nil
	}
	var more types.Config
	more.Ignition.Version = "3.4.0"
	more.Storage.Files = files
	text, err := json.Marshal(more)
	if err != nil {
		return c, fmt.Errorf("writing down the files of %s: %w", name, err)
	}
	added, report := Load(name, text, LoadOptions{})
	if err := report.Err(); err != nil {
		return c, fmt.Errorf("adding the files of %s: %w", name, err)
	}
	return Merge(c, added), nil
}
