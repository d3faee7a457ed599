package nodeapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/tradewind-io/tradewind/cluster/api"
)

const (
	maxDepth      = 32 // of objects and arrays in a body
	ignoredHeader = "X-Tradewind-Ignored"
	warningHeader = "X-Tradewind-Warning"
	maxIgnored    = 16 // names in the header
)

// decode is Decode.
func (s *Server) decode(w http.ResponseWriter, r *http.Request, limit int64, v any) error {
	return Decode(w, r, limit, v)
}

// Decode reads the body of a request, JSON of at most limit bytes, into the struct that v points to. Fields that are not known are named in a header of the answer and left out. Errors are
// *api.Error.
func Decode(w http.ResponseWriter, r *http.Request, limit int64, v any) error {
	if err := contentType(r); err != nil {
		return err
	}
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var big *http.MaxBytesError
	switch {
	case errors.As(err, &big):
		return api.Errorf(http.StatusRequestEntityTooLarge, "the body has more than %d bytes", limit)
	case err != nil:
		return api.Errorf(http.StatusBadRequest, "the body ended early")
	}
	unknown, err := decodeJSON(b, v)
	if err != nil {
		return err
	}
	if len(unknown) > 0 {
		w.Header().Set(ignoredHeader, strings.Join(unknown[:min(len(unknown), maxIgnored)], ", "))
	}
	return nil
}

// contentType lets JSON pass, and no type at all, as clients send that. From the page of another site it must be JSON, which a browser does not send
// without having asked (cors): so no page can use credentials that the browser keeps.
func contentType(r *http.Request) error {
	text := r.Header.Get("Content-Type")
	if text == "" && r.Header.Get("Origin") == "" {
		return nil
	}
	if t, _, err := mime.ParseMediaType(text); err != nil || t != "application/json" {
		return api.Errorf(http.StatusUnsupportedMediaType, "the body must be application/json")
	}
	return nil
}

// decodeJSON reads an object and returns the fields that v does not have, such as "filters.colour".
func decodeJSON(b []byte, v any) (unknown []string, err error) {
	bad := func(format string, args ...any) error {
		return api.Errorf(http.StatusBadRequest, "the body: "+format, args...)
	}
	b = bytes.TrimLeft(b, " \t\r\n")
	if len(b) == 0 || b[0] != '{' {
		return nil, bad("want a JSON object")
	}
	if depth(b) > maxDepth {
		return nil, bad("nested deeper than %d", maxDepth)
	}
	if err := json.Unmarshal(b, v); err != nil {
		var te *json.UnmarshalTypeError
		var se *json.SyntaxError
		switch {
		case errors.As(err, &te):
			return nil, bad("%s: a %s is not what belongs there", te.Field, te.Value)
		case errors.As(err, &se):
			return nil, bad("not JSON, at byte %d", se.Offset)
		}
		return nil, bad("a field is not what belongs there") // such as base64
	}
	var all any
	if err := json.Unmarshal(b, &all); err != nil {
		return nil, fmt.Errorf("decode a second time: %w", err)
	}
	unknown = unknownFields(nil, "", reflect.TypeOf(v).Elem(), all)
	slices.Sort(unknown)
	return slices.Compact(unknown), nil
}

// depth returns how deeply objects and arrays of b are nested. It need not be JSON.
func depth(b []byte) (most int) {
	level, text := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case text && c == '\\':
			i++
		case c == '"':
			text = !text
		case text:
		case c == '{' || c == '[':
			level++
			most = max(most, level)
		case c == '}' || c == ']':
			level--
		}
	}
	return most
}

// unknownFields appends the fields of v, as they were decoded into any, that t has not.
func unknownFields(list []string, at string, t reflect.Type, v any) []string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch v := v.(type) {
	case []any:
		if t.Kind() == reflect.Slice {
			for _, el := range v {
				list = unknownFields(list, at, t.Elem(), el)
			}
		}
	case map[string]any:
		if t.Kind() != reflect.Struct {
			return list
		}
		for name, el := range v {
			f, ok := fieldOf(t, name)
			if !ok {
				list = append(list, at+printable(name))
				continue
			}
			list = unknownFields(list, at+name+".", f, el)
		}
	}
	return list
}

// fieldOf finds a field by its name in JSON, as package json does: in whatever case.
func fieldOf(t reflect.Type, name string) (reflect.Type, bool) {
	for i := range t.NumField() {
		tag, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if strings.EqualFold(tag, name) {
			return t.Field(i).Type, true
		}
	}
	return nil, false
}

// printable is a name as it may stand in a header.
func printable(name string) string {
	name = name[:min(len(name), 40)]
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' || r == ',' {
			return '?'
		}
		return r
	}, name)
}

// reply writes v as JSON.
func (s *Server) reply(w http.ResponseWriter, status int, v any) {
	if err := reply(w, status, v); err != nil {
		s.cfg.Logger.Debug("the client went away", "error", err)
	}
}

// reply writes v as JSON. An error says that the client went away.
func reply(w http.ResponseWriter, status int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		panic("BUG: nodeapi: answer: " + err.Error())
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, err = w.Write(b)
	return err
}
