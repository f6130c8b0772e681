package api

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// The OpenAPI document is made from the table of routes and the types of the
// answers. A test keeps every field of every real answer in it.

type object = map[string]any

// openAPI returns the document.
func openAPI(routes []route) []byte {
	schemas := object{}
	paths := map[string]object{}
	schemaOf(reflect.TypeFor[Problem](), schemas)
	for _, rt := range routes {
		if paths[rt.path] == nil {
			paths[rt.path] = object{}
		}
		paths[rt.path][strings.ToLower(rt.method)] = operation(rt, schemas)
	}
	doc := object{
		"openapi": "3.1.0",
		"info": object{
			"title": "Nocturne", "version": "1",
			"description": "What the ruler knows of the fleet. Answers come from its store. Times are RFC 3339 in UTC, a quantity's unit is in its name. " +
				"Fields are added, never renamed. Text that came from a server is hostile: show it as text. Unknown parameters are refused.",
			"license": object{"name": "Apache-2.0", "identifier": "Apache-2.0"},
		},
		"servers":  []any{object{"url": Prefix}},
		"security": []any{object{}, object{"token": []any{}}},
		"paths":    paths,
		"components": object{
			"schemas": schemas,
			"securitySchemes": object{"token": object{
				"type": "http", "scheme": "bearer", "description": "A token that `ruler tokens add` made, or the content of api.token_file. Not needed on the ruler's own machine.",
			}},
		},
	}
	out, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		panic(err) // maps of strings: cannot fail
	}
	return append(out, '\n')
}

func operation(rt route, schemas object) object {
	result := object{"type": "object", "description": "an OpenAPI 3.1 document"}
	if t := reflect.TypeOf(rt.result); t != reflect.TypeFor[json.RawMessage]() {
		result = schemaOf(t, schemas)
	}
	answered := content(result)
	if rt.stream {
		answered = object{"text/event-stream": object{"schema": result}}
	}
	problem := func(text string) object {
		said := object{"$ref": "#/components/schemas/Problem"}
		if rt.problem != nil {
			said = object{"anyOf": []any{schemaOf(reflect.TypeOf(rt.problem), schemas), said}}
		}
		return object{"description": text, "content": content(said)}
	}
	op := object{
		"operationId": rt.name,
		"summary":     rt.summary,
		"description": "Takes the role " + rt.role.String() + ".",
		"x-role":      rt.role.String(),
		"responses": object{
			"200":     object{"description": "the answer", "content": answered},
			"400":     problem("a parameter or the body does not fit; the hint says what would"),
			"default": problem("anything else"),
		},
	}
	var params []any
	for _, p := range rt.params {
		params = append(params, parameter(p))
	}
	if params != nil {
		op["parameters"] = params
	}
	if rt.body != nil {
		op["requestBody"] = object{"required": true, "content": content(schemaOf(reflect.TypeOf(rt.body), schemas))}
	}
	return op
}

func content(schema object) object { return object{"application/json": object{"schema": schema}} }

func parameter(p param) object {
	schema := object{"type": "string"}
	switch p.kind {
	case kindInt:
		schema = object{"type": "integer", "minimum": p.min, "maximum": p.max}
	case kindBool:
		schema = object{"type": "boolean"}
	case kindEnum:
		schema["enum"] = p.enum
	case kindList:
		schema = object{"type": "array", "items": object{"type": "string", "enum": p.enum}}
	case kindTime:
		schema["format"] = "date-time"
	case kindServer:
		schema["pattern"] = "^[0-9a-fA-F]{32}$"
	case kindText:
		schema["maxLength"] = p.max
	}
	if p.def != "" {
		switch p.kind {
		case kindInt:
			n, err := strconv.Atoi(p.def)
			if err != nil {
				panic(fmt.Sprintf("parameter %s: default %q is no number", p.name, p.def)) // a mistake in the table
			}
			schema["default"] = n
		case kindBool:
			schema["default"] = p.def == "true"
		default:
			schema["default"] = p.def
		}
	}
	out := object{"name": p.name, "in": "query", "description": p.doc, "schema": schema}
	if p.path {
		out["in"], out["required"] = "path", true
	}
	if p.kind == kindList {
		out["style"], out["explode"] = "form", false
	}
	return out
}

// schemaOf describes a type; structs go to components and are referred to.
func schemaOf(t reflect.Type, schemas object) object {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case t == reflect.TypeFor[Status]():
		return object{"type": "string", "enum": Statuses()}
	}
	switch t.Kind() {
	case reflect.Pointer:
		inner := schemaOf(t.Elem(), schemas)
		if inner["$ref"] != nil || inner["enum"] != nil { // beside them, a type would only say more of the same
			return object{"anyOf": []any{inner, object{"type": "null"}}}
		}
		inner["type"] = []any{inner["type"], "null"}
		return inner
	case reflect.Slice:
		return object{"type": "array", "items": schemaOf(t.Elem(), schemas)}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": schemaOf(t.Elem(), schemas)}
	case reflect.Struct:
		return structSchema(t, schemas)
	case reflect.String:
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Float64:
		return object{"type": "number"}
	case reflect.Int, reflect.Int64, reflect.Uint64:
		return object{"type": "integer"}
	default:
		panic(fmt.Sprintf("type %s has no schema", t)) // a mistake in types.go
	}
}

func structSchema(t reflect.Type, schemas object) object {
	ref := object{"$ref": "#/components/schemas/" + t.Name()}
	if _, done := schemas[t.Name()]; done {
		return ref
	}
	properties := object{}
	required := []string{}
	schema := object{"type": "object", "properties": properties, "additionalProperties": false}
	schemas[t.Name()] = schema // before the fields: a type may hold itself
	request := strings.HasSuffix(t.Name(), "Request")
	for f := range fieldsOf(t) {
		name := f.Tag.Get("json")
		p := schemaOf(f.Type, schemas)
		if doc := f.Tag.Get("doc"); doc != "" {
			p["description"] = doc
		}
		properties[name] = p
		required = append(required, name)
	}
	if !request {
		schema["required"] = required
	}
	return ref
}

func fieldsOf(t reflect.Type) func(func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range t.NumField() {
			if !yield(t.Field(i)) {
				return
			}
		}
	}
}
