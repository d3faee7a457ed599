package objstore

import (
	"encoding/json"
	"unicode/utf8"
)

// uploadJSON is how an Upload is written. JSON has no strings that are not UTF-8, but keys need not be: those are written
// in base64, under another name.
type uploadJSON struct {
	Key   string `json:"key,omitempty"`
	Bytes []byte `json:"key64,omitempty"`
	ID    string `json:"id"`
	Size  int64  `json:"size"`
	Plan  Plan   `json:"plan"`
}

// MarshalJSON implements json.Marshaler.
func (u Upload) MarshalJSON() ([]byte, error) {
	j := uploadJSON{Key: u.Key, ID: u.ID, Size: u.Size, Plan: u.Plan}
	if !utf8.ValidString(u.Key) {
		j.Key, j.Bytes = "", []byte(u.Key)
	}
	return json.Marshal(j)
}

// UnmarshalJSON implements json.Unmarshaler.
func (u *Upload) UnmarshalJSON(b []byte) error {
	var j uploadJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	*u = Upload{Key: j.Key, ID: j.ID, Size: j.Size, Plan: j.Plan}
	if j.Key == "" {
		u.Key = string(j.Bytes)
	}
	return nil
}
