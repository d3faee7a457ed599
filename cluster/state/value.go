package state

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
)

// encodeValue writes the value of a column as JSON: text, a number, or bytes in base64. NULL is null.
func encodeValue(v any) json.RawMessage {
	switch v := v.(type) {
	case nil:
		return json.RawMessage("null")
	case int64:
		return strconv.AppendInt(nil, v, 10)
	case []byte:
		return json.RawMessage(`"` + base64.StdEncoding.EncodeToString(v) + `"`)
	case string:
		return encodeText(v)
	default:
		panic(fmt.Sprintf("BUG: a column of type %T", v))
	}
}

func encodeText(s string) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // documents are full of quotes already
	if err := e.Encode(s); err != nil {
		panic("BUG: text has no JSON: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// decodeValue is the reverse of encodeValue, for a column of that form.
func decodeValue(f form, b json.RawMessage) (any, error) {
	if string(b) == "null" {
		return nil, nil
	}
	switch f {
	case formInt:
		return strconv.ParseInt(string(b), 10, 64)
	default:
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return nil, err
		}
		if f == formText {
			return s, nil
		}
		return base64.StdEncoding.Strict().DecodeString(s)
	}
}
