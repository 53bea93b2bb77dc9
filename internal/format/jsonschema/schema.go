// Package jsonschema describes Go types as JSON Schema, draft 2020-12
// (https://json-schema.org/draft/2020-12). Fields are those that
// encoding/json writes; a field that may be left out is not required. Types
// with an encoding of their own are given by the caller.
//
//	schema := jsonschema.Of(reflect.TypeFor[Config](), nil)
package jsonschema

import (
	"reflect"
	"slices"
	"strings"
)

// Schema is a JSON Schema.
type Schema map[string]any

// Own are the schemas of types that write themselves.
type Own map[reflect.Type]Schema

// Of describes a type. Structs that occur more than once, or within
// themselves, stand under $defs.
func Of(t reflect.Type, own Own) Schema {
	w := writer{own: own, defs: map[string]any{}, names: map[reflect.Type]string{}}
	out := Schema{"$schema": "https://json-schema.org/draft/2020-12/schema"}
	for k, v := range w.inline(t) {
		out[k] = v
	}
	if len(w.defs) > 0 {
		out["$defs"] = w.defs
	}
	return out
}

type writer struct {
	own   Own
	defs  map[string]any
	names map[reflect.Type]string
}

func (w *writer) schema(t reflect.Type) Schema {
	if s, ok := w.own[t]; ok {
		return s
	}
	switch t.Kind() {
	case reflect.Pointer:
		return w.schema(t.Elem())
	case reflect.Bool:
		return Schema{"type": "boolean"}
	case reflect.String:
		return Schema{"type": "string"}
	case reflect.Int, reflect.Int64, reflect.Uint64, reflect.Uint32, reflect.Int32:
		return Schema{"type": "integer"}
	case reflect.Slice, reflect.Array:
		return Schema{"type": "array", "items": w.schema(t.Elem())}
	case reflect.Map:
		return Schema{"type": "object", "additionalProperties": w.schema(t.Elem())}
	case reflect.Struct:
		return w.named(t)
	}
	return Schema{}
}

func (w *writer) named(t reflect.Type) Schema {
	name, known := w.names[t]
	if !known {
		name = t.Name()
		w.names[t] = name
		w.defs[name] = w.inline(t)
	}
	return Schema{"$ref": "#/$defs/" + name}
}

// inline describes a struct in place.
func (w *writer) inline(t reflect.Type) Schema {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return w.schema(t)
	}
	properties, required := map[string]any{}, []string{}
	w.fields(t, properties, &required)
	out := Schema{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		slices.Sort(required)
		out["required"] = required
	}
	return out
}

func (w *writer) fields(t reflect.Type, properties map[string]any, required *[]string) {
	for i := range t.NumField() {
		f := t.Field(i)
		tag, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case tag == "-", !f.IsExported() && !f.Anonymous:
		case f.Anonymous && tag == "":
			w.fields(f.Type, properties, required)
		default:
			if tag == "" {
				tag = f.Name
			}
			properties[tag] = w.schema(f.Type)
			if !strings.Contains(options, "omit") && f.Type.Kind() != reflect.Pointer {
				*required = append(*required, tag)
			}
		}
	}
}
