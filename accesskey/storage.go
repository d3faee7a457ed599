package accesskey

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
)

// Storage is a place of its own that a key is bound to, in the words of the Node API (docs/api.md). Whoever opens places makes a driver of it;
// this package only knows which fields a type has. Printing one leaves the credentials out, and so does its JSON: StorageFromJSON reads them.
type Storage struct {
	// Type is local, aws_s3, ibm-s3, azure, azure_sas, azure-files, google-gcs or swift.
	Type string
	// Fields are the others by their names, such as bucket and path, without credentials; all are texts or whole numbers.
	Fields map[string]string
	// Credentials are what the place is reached with, by the names of the Node API. They are secret. Empty: none are needed, or the node has them.
	Credentials map[string]string
}

// storageType says which fields a type has; those with a star must be there.
type storageType struct {
	fields      string
	credentials map[string]string // by credentials.type, "" where there is but one kind
}

var storageTypes = map[string]storageType{
	"local": {fields: "path", credentials: nil},
	"aws_s3": {
		fields: "bucket* endpoint* path storage_class server_side_encryption server_side_encryption_aws_kms_key_id region",
		credentials: map[string]string{
			"key":         "access_key_id* secret_access_key* session_token",
			"iam-role":    "iam_role_name",
			"assume-role": "assume_role_arn* assume_role_external_id assume_role_session_name",
		},
	},
	"ibm-s3":      {fields: "bucket* endpoint* path storage_class", credentials: map[string]string{"key": "access_key_id* secret_access_key*"}},
	"azure":       {fields: "container* storage_endpoint* api path", credentials: map[string]string{"key": "account* key*"}},
	"azure_sas":   {fields: "container* api path", credentials: map[string]string{"": "shared_access_signature*"}},
	"azure-files": {fields: "path", credentials: map[string]string{"": "file_service_endpoint* password*"}},
	"google-gcs": {
		fields: "path* max_segments_per_compose storage_endpoint",
		credentials: map[string]string{
			"service_account": "private_key* client_email* project_id private_key_id",
			"oauth":           "client_id* client_secret* access_token refresh_token* token_expiration auth_uri token_uri auth_provider_x509_cert_url client_x509_cert_url",
		},
	},
	"swift": {fields: "endpoint* container* path", credentials: map[string]string{"key": "username* api_key*"}},
}

// StorageTypes returns the types that are known, in order.
func StorageTypes() []string { return slices.Sorted(maps.Keys(storageTypes)) }

// maxStorage bounds the JSON of a storage, in bytes.
const maxStorage = 64 << 10

// StorageFromJSON reads the storage object of the Node API, credentials included. Errors name the field and never repeat a value of the credentials. What a type
// does not have is an error, so that a misspelt field is not taken for one that was left out.
func StorageFromJSON(b []byte) (Storage, error) {
	if len(b) > maxStorage {
		return Storage{}, fmt.Errorf("storage: more than %d bytes", maxStorage)
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(b, &all); err != nil {
		return Storage{}, errors.New("storage: want an object")
	}
	s := Storage{Fields: map[string]string{}}
	var err error
	if s.Type, err = scalar(all["type"]); err != nil || s.Type == "" {
		return Storage{}, fmt.Errorf("storage.type is missing: want one of %s", strings.Join(StorageTypes(), ", "))
	}
	raw, withCredentials := all["credentials"]
	delete(all, "type")
	delete(all, "credentials")
	for name, v := range all {
		if s.Fields[name], err = scalar(v); err != nil {
			return Storage{}, fmt.Errorf("storage.%s: %w", name, err)
		}
	}
	if withCredentials && !bytes.Equal(bytes.TrimSpace(raw), []byte("null")) {
		var list map[string]json.RawMessage
		if json.Unmarshal(raw, &list) != nil {
			return Storage{}, errors.New("storage.credentials: want an object")
		}
		s.Credentials = make(map[string]string, len(list))
		for name, v := range list {
			if s.Credentials[name], err = scalar(v); err != nil {
				return Storage{}, fmt.Errorf("storage.credentials.%s: want a text or a number", name)
			}
		}
	}
	return s, s.Check()
}

// scalar reads a text or a number as text; what is not there is "".
func scalar(b json.RawMessage) (string, error) {
	if len(b) == 0 || string(b) == "null" {
		return "", nil
	}
	var text string
	if json.Unmarshal(b, &text) == nil {
		return text, nil
	}
	var n json.Number
	if err := json.Unmarshal(b, &n); err != nil {
		return "", errors.New("want a text or a number")
	}
	return n.String(), nil
}

// Check says what is wrong with s, nil if nothing is.
func (s Storage) Check() error {
	t, ok := storageTypes[s.Type]
	if !ok {
		return fmt.Errorf("storage.type %q: want one of %s", s.Type, strings.Join(StorageTypes(), ", "))
	}
	if err := checkFields("storage", t.fields, s.Fields); err != nil {
		return err
	}
	if _, ok := cleanBelow(s.Fields["path"]); s.Type == "local" && !ok {
		return errors.New("storage.path leads out of the docroot")
	}
	if len(s.Credentials) == 0 {
		return nil // the node's own, if it has any
	}
	kind := s.Credentials["type"]
	fields, ok := t.credentials[kind]
	if !ok && kind == "" && len(t.credentials) > 0 {
		fields, ok = t.credentials["key"]
	}
	if !ok && kind != "" {
		fields, ok = t.credentials[""]
	}
	if !ok {
		return fmt.Errorf("storage.credentials.type: want one of %q for %s", slices.Sorted(maps.Keys(t.credentials)), s.Type)
	}
	return checkFields("storage.credentials", fields+" type", s.Credentials)
}

func checkFields(where, fields string, have map[string]string) error {
	known := map[string]bool{}
	for f := range strings.FieldsSeq(fields) {
		name, must := strings.CutSuffix(f, "*")
		known[name] = true
		if must && have[name] == "" {
			return fmt.Errorf("%s.%s is missing", where, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(have)) {
		if !known[name] {
			return fmt.Errorf("%s.%s: there is no such field; there are %s", where, name, strings.ReplaceAll(fields, "*", ""))
		}
	}
	return nil
}

// MarshalJSON writes the storage object without its credentials.
func (s Storage) MarshalJSON() ([]byte, error) {
	all := map[string]string{"type": s.Type}
	maps.Copy(all, s.Fields)
	return json.Marshal(all)
}

// UnmarshalJSON reads what MarshalJSON writes, and credentials, too, where there are any; see StorageFromJSON.
func (s *Storage) UnmarshalJSON(b []byte) error {
	read, err := StorageFromJSON(b)
	*s = read
	return err
}

// String names the type and hides the rest.
func (s Storage) String() string { return "storage of type " + s.Type }

// GoString is String, for %#v.
func (s Storage) GoString() string { return s.String() }

// LogValue hides the credentials from logs.
func (s Storage) LogValue() slog.Value { return slog.StringValue(s.String()) }
