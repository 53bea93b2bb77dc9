package provision

import (
	"reflect"
	"strings"

	types "github.com/coreos/ignition/v2/config/v3_7_experimental/types"
)

// readAs is the name of the field that the reader of JSON takes a key for
// although its letters are large or small where they should not be. Empty:
// none, or the key is right.
func readAs(p Path) string {
	at, name, exact := reflect.TypeFor[types.Config](), "", true
	for _, e := range p {
		if _, isIndex := e.(int); isIndex {
			if at.Kind() != reflect.Slice {
				return ""
			}
			at = pointee(at.Elem())
			continue
		}
		key, _ := e.(string)
		if at.Kind() != reflect.Struct {
			return ""
		}
		f, known := fieldOf(at, key)
		if !known {
			return ""
		}
		name, _, _ = strings.Cut(f.Tag.Get("json"), ",")
		exact = name == key
		at = pointee(f.Type)
	}
	if exact {
		return ""
	}
	return name
}

func pointee(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}

// fieldOf finds the field of a key, as encoding/json does.
func fieldOf(t reflect.Type, key string) (reflect.StructField, bool) {
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.Anonymous && strings.EqualFold(name, key) {
			return f, true
		}
	}
	return reflect.StructField{}, false
}
