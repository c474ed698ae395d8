package main

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/parser"

	"tandem"
)

// durations reads durations as written in tandem.yaml, also a plain 0. The
// decoder's own reading loses the place of a mistake.
func durations() yaml.DecodeOption {
	return yaml.CustomUnmarshaler(func(d *time.Duration, text []byte) (err error) {
		*d, err = time.ParseDuration(strings.Trim(strings.TrimSpace(string(text)), `"'`))
		return err
	})
}

// misreadDurations reports every duration of the document that is none, with
// its place.
func misreadDurations(path string, text []byte) error {
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return nil // the decoder tells it better
	}
	var found []error
	for _, field := range durationFields(reflect.TypeFor[Config](), "") {
		at, err := yaml.PathString("$." + field)
		if err != nil {
			continue
		}
		node, err := at.FilterFile(file)
		if err != nil || node == nil || node.GetToken() == nil {
			continue
		}
		token := node.GetToken()
		if _, err := time.ParseDuration(token.Value); err != nil {
			found = append(found, fmt.Errorf("%s:%d:%d: %w", path, token.Position.Line, token.Position.Column,
				&tandem.Error{Kind: tandem.KindInvalid, Field: field, Message: fmt.Sprintf("%q is not a duration", tandem.Clip(token.Value, 40)),
					Mend: "write a number and a unit, as in 500ms, 4s or 60s"}))
		}
	}
	return errors.Join(found...)
}

// durationFields lists the paths of all durations in a configuration.
func durationFields(t reflect.Type, prefix string) []string {
	var list []string
	for i := range t.NumField() {
		f := t.Field(i)
		name := prefix + f.Tag.Get("yaml")
		switch {
		case f.Type == reflect.TypeFor[time.Duration]():
			list = append(list, name)
		case f.Type.Kind() == reflect.Struct:
			list = append(list, durationFields(f.Type, name+".")...)
		}
	}
	return list
}
