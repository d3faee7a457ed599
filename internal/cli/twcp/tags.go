package twcp

import (
	"encoding/base64"
	"encoding/json"
	"time"
)

// tags are what this program itself makes of the tags of a transfer.
type tags struct {
	id    string         // aspera.xfer_id, which the sessions of one transfer have in common
	retry *time.Duration // aspera.xfer_retry, how long to go on trying; nil is not said
}

// readTags reads them; what has another form says nothing.
func readTags(b json.RawMessage) (t tags) {
	var doc struct {
		Aspera map[string]json.RawMessage `json:"aspera"`
	}
	if len(b) == 0 || json.Unmarshal(b, &doc) != nil {
		return t
	}
	if json.Unmarshal(doc.Aspera["xfer_id"], &t.id) != nil {
		t.id = ""
	}
	var seconds *float64
	if json.Unmarshal(doc.Aspera["xfer_retry"], &seconds) == nil && seconds != nil && *seconds >= 0 && *seconds < 1e9 {
		d := time.Duration(*seconds * float64(time.Second))
		t.retry = &d
	}
	return t
}

// parseTags reads --tags and --tags64.
func parseTags(plain, encoded string) (json.RawMessage, error) {
	switch {
	case plain != "" && encoded != "":
		return nil, usagef("--tags and --tags64 exclude each other")
	case encoded != "":
		b, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			return nil, usagef("--tags64: want base64")
		}
		plain = string(b)
	case plain == "":
		return nil, nil
	}
	var object map[string]json.RawMessage
	if json.Unmarshal([]byte(plain), &object) != nil || object == nil {
		return nil, usagef("--tags, --tags64: want a JSON object")
	}
	return json.RawMessage(plain), nil
}
