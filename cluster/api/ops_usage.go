package api

import (
	"encoding/json"
	"net/http"
	"strings"
	"unicode/utf8"
)

// MaxUsageID is how long an id of usage may be, in bytes.
const MaxUsageID = 255

// UsageID returns the id under which an application wants a transfer to be counted: aspera.usage_id of its tags, a text or a number; "" if there is none. The error is an *Error.
func UsageID(tags json.RawMessage) (string, error) {
	var t struct {
		Aspera struct {
			UsageID json.RawMessage `json:"usage_id"`
		} `json:"aspera"`
	}
	if len(tags) == 0 || json.Unmarshal(tags, &t) != nil { // tags of another form say nothing of it
		return "", nil
	}
	b := t.Aspera.UsageID
	switch {
	case len(b) == 0 || string(b) == "null":
		return "", nil
	case b[0] == '-' || b[0] >= '0' && b[0] <= '9':
		return checkUsageID(string(b))
	}
	var text string
	if json.Unmarshal(b, &text) != nil {
		return "", Errorf(http.StatusBadRequest, "tags.aspera.usage_id: want a text or a number")
	}
	return checkUsageID(text)
}

func checkUsageID(s string) (string, error) {
	if len(s) > MaxUsageID || !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 {
		return "", Errorf(http.StatusBadRequest, "tags.aspera.usage_id: want a text of up to %d bytes", MaxUsageID)
	}
	return s, nil
}
