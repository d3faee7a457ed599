package twnode

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// maxConfigFile bounds the file of settings, bytes.
const maxConfigFile = 1 << 20

// readConfig reads the file of settings: the names are those of the flags with "_" for "-", the values as on the command line. Errors name the file and the line.
func readConfig(path string, flags *pflag.FlagSet) (map[string]any, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxConfigFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxConfigFile {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxConfigFile)
	}
	values, err := parseConfig(data, flags)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return values, nil
}

// parseConfig reads the text of a file of settings. The error has all that is wrong, a line for each.
func parseConfig(data []byte, flags *pflag.FlagSet) (map[string]any, error) {
	d := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	if err := d.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, readable(err)
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is a second document, behind a line of ---: want one")
	}
	top := doc.Content[0]
	if top.Kind == yaml.ScalarNode && top.Tag == "!!null" {
		return nil, nil
	}
	if top.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("line %d: want settings, a NAME: VALUE in each line", top.Line)
	}
	values, lines := map[string]any{}, map[string]int{}
	var problems []error
	for i := 0; i+1 < len(top.Content); i += 2 {
		key, value := top.Content[i], top.Content[i+1]
		flag := settingFlag(flags, key.Value)
		err := error(nil)
		switch {
		case flag == nil:
			err = fmt.Errorf("line %d: there is no setting %q; twnode config schema has all", key.Line, key.Value)
		case lines[key.Value] != 0:
			err = fmt.Errorf("line %d: %s is set in line %d already", key.Line, key.Value, lines[key.Value])
		case value.Kind != yaml.ScalarNode:
			err = fmt.Errorf("line %d: %s: want one value", value.Line, key.Value)
		default:
			if err = checkSetting(flag, value.Value); err != nil {
				err = fmt.Errorf("line %d: %s: %w", value.Line, key.Value, err)
			}
		}
		if err != nil {
			problems = append(problems, err)
			continue
		}
		values[key.Value], lines[key.Value] = value.Value, key.Line
	}
	return values, errors.Join(problems...)
}

// settingFlag returns the flag of a setting, nil if there is none.
func settingFlag(flags *pflag.FlagSet, name string) *pflag.Flag {
	f := flags.Lookup(strings.ReplaceAll(name, "_", "-"))
	if f == nil || !isSetting(f) || strings.Contains(name, "-") {
		return nil
	}
	return f
}

// isSetting says whether a flag can stand in the file.
func isSetting(f *pflag.Flag) bool { return f.Name != "config" && f.Name != "help" }

// checkSetting says whether a flag takes the text; the flag stays as it is.
func checkSetting(f *pflag.Flag, text string) error {
	scratch := pflag.NewFlagSet("", pflag.ContinueOnError)
	switch f.Value.Type() {
	case "bool":
		scratch.Bool(f.Name, false, "")
	case "int":
		scratch.Int(f.Name, 0, "")
	case "duration":
		scratch.Duration(f.Name, 0, "")
	}
	if scratch.Lookup(f.Name) != nil && scratch.Set(f.Name, text) != nil {
		return fmt.Errorf("%q: want a %s", text, map[string]string{"bool": "true or false", "int": "whole number", "duration": "duration such as 30s, 5m or 1h"}[f.Value.Type()])
	}
	if check := settingChecks[f.Name]; check != nil {
		return check(text)
	}
	return nil
}

// configSchema returns the JSON schema of the file.
func configSchema(flags *pflag.FlagSet) ([]byte, error) {
	type property struct {
		Type        string `json:"type"`
		Description string `json:"description"`
		Default     any    `json:"default,omitempty"`
	}
	properties := map[string]property{}
	flags.VisitAll(func(f *pflag.Flag) {
		if !isSetting(f) {
			return
		}
		p := property{Type: "string", Description: strings.ReplaceAll(f.Usage, "`", ""), Default: f.DefValue}
		switch f.Value.Type() {
		case "bool":
			p.Type, p.Default = "boolean", f.DefValue == "true"
		case "int":
			p.Type, p.Default = "integer", json.Number(f.DefValue)
		}
		if p.Default == "" {
			p.Default = nil
		}
		properties[strings.ReplaceAll(f.Name, "-", "_")] = p
	})
	b, err := json.MarshalIndent(map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Settings of twnode serve", "type": "object", "additionalProperties": false,
		"properties": properties, "required": []string{"docroot", "state"},
	}, "", "  ")
	return append(b, '\n'), err
}
