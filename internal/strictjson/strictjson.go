// Package strictjson reads JSON from clients without leaving anything open: what
// it accepts has one meaning for every reader. [Unmarshal] decodes a small body
// into a struct, a [Scanner] checks a body of any size while it passes by.
package strictjson

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
)

// Unmarshal decodes data, which must be one JSON document, into the value that v
// points to. It sets *v only if it returns nil.
//
// Unlike encoding/json it refuses duplicate keys, also those that differ only in
// case, keys that are no field or a field in another case, invalid UTF-8,
// unpaired surrogates, a byte order mark, more than 64 levels, and null for
// anything but a pointer, an any or a json.RawMessage. A field that may be null
// is therefore declared as a pointer, and one that is absent leaves nil.
//
// What the sender can be told is an [*Error], one that an UnmarshalJSON of v
// returned included. Any other error is a fault of the program: of the type of v.
func Unmarshal(data []byte, v any) error {
	target := reflect.ValueOf(v)
	if target.Kind() != reflect.Pointer || target.IsNil() {
		return fmt.Errorf("strictjson: %T is not a pointer to decode into", v)
	}
	t := &typist{top: target.Type().Elem()}
	s := NewScanner(Limits{Fold: true, Text: 1}, t.event)
	if _, err := s.Write(data); err != nil {
		return err
	}
	if err := s.Close(); err != nil {
		return err
	}
	fresh := reflect.New(t.top)
	if err := json.Unmarshal(data, fresh.Interface()); err != nil {
		if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return &Error{Problem: "is not a number in range", Field: wrong.Field, Offset: -1}
		}
		if ours, ok := errors.AsType[*Error](err); ok {
			return ours // of an UnmarshalJSON of v
		}
		// The text is a type's own, which may quote the value.
		return &Error{Problem: "has a malformed value", Offset: -1}
	}
	target.Elem().Set(fresh.Elem())
	return nil
}

// A typist follows a document along the Go type that it is decoded into.
type typist struct {
	top    reflect.Type
	stack  []place // the containers that are open
	opaque int     // how many of the innermost ones are nobody's business
}

type place struct {
	typ    reflect.Type // a struct, map, slice or array
	fields map[string]reflect.Type
	name   string // of the container, for messages
}

var (
	rawMessage      = reflect.TypeFor[json.RawMessage]()
	unmarshaler     = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
)

func (t *typist) event(e Event) error {
	if e.Kind == EndObject || e.Kind == EndArray {
		if t.opaque > 0 {
			t.opaque--
		} else {
			t.stack = t.stack[:len(t.stack)-1]
		}
		return nil
	}
	opens := e.Kind == Object || e.Kind == Array
	if t.opaque > 0 {
		if opens {
			t.opaque++
		}
		return nil
	}
	typ, name, err := t.expected(e)
	if err != nil {
		return err
	}
	pointer := false
	for typ.Kind() == reflect.Pointer && !typ.Implements(unmarshaler) {
		typ, pointer = typ.Elem(), true
	}
	if e.Kind == Null && pointer {
		return nil
	}
	kind := typ.Kind()
	if kind == reflect.Interface || typ == rawMessage || reflect.PointerTo(typ).Implements(unmarshaler) || typ.Implements(unmarshaler) {
		if opens {
			t.opaque++
		}
		return nil
	}
	want, what := String, "a string"
	switch {
	case reflect.PointerTo(typ).Implements(textUnmarshaler), kind == reflect.String:
	case kind == reflect.Bool:
		want, what = Bool, "true or false"
	case kind >= reflect.Int && kind <= reflect.Uintptr:
		want, what = Number, "a whole number"
	case kind == reflect.Float32, kind == reflect.Float64:
		want, what = Number, "a number"
	case kind == reflect.Slice && typ.Elem().Kind() == reflect.Uint8: // base64
	case kind == reflect.Slice:
		want, what = Array, "an array"
	case kind == reflect.Struct, kind == reflect.Map && typ.Key().Kind() == reflect.String:
		want, what = Object, "an object"
	default:
		return fmt.Errorf("strictjson: cannot decode into %v", typ)
	}
	if e.Kind != want {
		return &Error{Problem: "must be " + what, Field: name, Offset: -1}
	}
	if !opens {
		return nil
	}
	p := place{typ: typ, name: name}
	if kind == reflect.Struct {
		if p.fields, err = fieldsOf(typ); err != nil {
			return err
		}
	}
	t.stack = append(t.stack, p)
	return nil
}

// expected returns the type of the value that e begins, and its name for messages,
// made of struct fields only.
func (t *typist) expected(e Event) (typ reflect.Type, name string, err error) {
	if len(t.stack) == 0 {
		return t.top, "", nil
	}
	in := t.stack[len(t.stack)-1]
	if in.typ.Kind() != reflect.Struct {
		return in.typ.Elem(), in.name + "[]", nil
	}
	key := e.Path[len(e.Path)-1].Key
	if typ, ok := in.fields[key]; ok {
		return typ, strings.TrimPrefix(in.name+"."+key, "."), nil
	}
	for known := range in.fields {
		if strings.EqualFold(known, key) {
			return nil, "", &Error{Problem: "is written in another case", Field: strings.TrimPrefix(in.name+"."+known, "."), Offset: -1}
		}
	}
	return nil, "", &Error{Problem: "has a field that is not known here" + quoteKey(key), Field: in.name, Offset: -1}
}

// quoteKey returns key for a message if it looks like the name of a field and
// nothing else. A secret in the place of a key does not: npm's have capitals.
func quoteKey(key string) string {
	if key == "" || len(key) > 32 {
		return ""
	}
	for _, c := range []byte(key) {
		if (c < 'a' || c > 'z') && c != '_' {
			return ""
		}
	}
	return ": " + key
}

var fieldTables sync.Map // of map[string]reflect.Type by reflect.Type

// fieldsOf returns the fields of a struct by their name in JSON.
func fieldsOf(typ reflect.Type) (map[string]reflect.Type, error) {
	if table, ok := fieldTables.Load(typ); ok {
		return table.(map[string]reflect.Type), nil
	}
	table := make(map[string]reflect.Type, typ.NumField())
	for f := range typ.Fields() {
		if !f.IsExported() && !f.Anonymous {
			continue
		}
		tag := f.Tag.Get("json")
		if tag == "-" {
			continue
		}
		name, options, _ := strings.Cut(tag, ",")
		if f.Anonymous || strings.Contains(options, "string") {
			return nil, fmt.Errorf("strictjson: %v.%s is embedded or a quoted number", typ, f.Name)
		}
		if name == "" {
			name = f.Name
		}
		table[name] = f.Type
	}
	fieldTables.Store(typ, table)
	return table, nil
}
