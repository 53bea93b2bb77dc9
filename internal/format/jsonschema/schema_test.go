package jsonschema_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/format/jsonschema"
)

type leaf struct {
	Name string `json:"name"`
	hide int
}

type tree struct {
	leaf
	Size  *int           `json:"size,omitempty"`
	Next  *tree          `json:"next,omitempty"`
	Words []string       `json:"words"`
	Leaf  leaf           `json:"leaf"`
	More  map[string]any `json:"more,omitzero"`
	Skip  string         `json:"-"`
	Own   chan int       `json:"own,omitempty"`
}

func TestOf(t *testing.T) {
	_ = leaf{hide: 1}
	own := jsonschema.Own{reflect.TypeFor[chan int](): {"const": 1}}
	got, err := json.Marshal(jsonschema.Of(reflect.TypeFor[tree](), own))
	if err != nil {
		t.Fatal(err)
	}
	object := `{"additionalProperties":false,"properties":{"leaf":{"$ref":"#/$defs/leaf"},"more":{"additionalProperties":{},"type":"object"},` +
		`"name":{"type":"string"},"next":{"$ref":"#/$defs/tree"},"own":{"const":1},"size":{"type":"integer"},"words":{"items":{"type":"string"},"type":"array"}},` +
		`"required":["leaf","name","words"],"type":"object"}`
	want := `{"$defs":{"leaf":{"additionalProperties":false,"properties":{"name":{"type":"string"}},"required":["name"],"type":"object"},"tree":` + object + `},` +
		`"$schema":"https://json-schema.org/draft/2020-12/schema",` + object[1:]
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
}
