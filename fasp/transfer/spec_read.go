package transfer

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"
)

// SpecNote is a field of a transfer specification that has no effect, and why.
type SpecNote struct {
	Field string `json:"field"`
	Why   string `json:"why"`
}

// SpecExtra is what a transfer specification says that is not for the transfer itself.
type SpecExtra struct {
	Sessions int // that the data is to go over, see Config.Sessions; 0 is not said
	Retries  int // for who runs the transfer for somebody; -1 is not said
	// Fingerprint is what the node's key must be, "sha256:" and 64 hexadecimal digits; "" is not said. It stands in the field sshfp, as a node's own API puts it there.
	Fingerprint string
	// WSS says that the node hands over tickets over WebSocket, at TCP port WSSPort; 0 is not said.
	WSS     bool
	WSSPort int
	Notes   []SpecNote // by field
}

// maxSpec bounds the JSON of a specification, in bytes.
const maxSpec = 64 << 20

// The fields of the product's transfer specification that Spec.UnmarshalJSON does not read, and why they have no effect. An empty reason means that the field is of no concern
// to who transfers: what it says holds anyway, or it is for others to read.
var specOthers = map[string]string{
	"apply_local_docroot":            "paths are taken below the place of the one who runs the transfer",
	"authentication":                 "",
	"cipher_allowed":                 "",
	"content_protection":             "client-side encryption at rest is an option of places (encrypt=true)",
	"content_protection_password":    "client-side encryption at rest is an option of places (encrypt=true)",
	"delete_before_transfer":         "files at the destination are not removed before a transfer",
	"delete_source":                  "sources are not removed",
	"exclude_newer_than":             "files are not chosen by time",
	"exclude_older_than":             "files are not chosen by time",
	"fail_bad_filepass":              "client-side encryption at rest is an option of places (encrypt=true)",
	"fasp_proxy":                     "relays are not offered yet",
	"fasp_url":                       "",
	"http_fallback":                  "the fallback over HTTPS is not offered yet",
	"http_fallback_port":             "",
	"https_fallback_port":            "",
	"icos":                           "storage is that of an access key",
	"keepalive":                      "a transfer ends with its paths",
	"lock_min_rate":                  "",
	"lock_min_rate_kbps":             "",
	"lock_rate_policy":               "",
	"lock_target_rate":               "",
	"lock_target_rate_kbps":          "",
	"min_rate_cap_kbps":              "",
	"move_after_transfer":            "sources are not moved",
	"obfuscate_file_names":           "",
	"password":                       "",
	"precalculate_job_size":          "sizes are found while the transfer goes on",
	"preserve_acls":                  "ACLs are not kept",
	"preserve_creation_time":         "creation times are not kept",
	"preserve_extended_attrs":        "extended attributes are not kept",
	"preserve_file_owner_gid":        "owners are not kept",
	"preserve_file_owner_uid":        "owners are not kept",
	"preserve_remote_acls":           "ACLs are not kept",
	"preserve_remote_extended_attrs": "extended attributes are not kept",
	"preserve_source_access_time":    "access times of sources are left to the system",
	"preserve_xattrs":                "extended attributes are not kept",
	"remote_preserve_xattrs":         "extended attributes are not kept",
	"remote_preserve_acls":           "ACLs are not kept",
	"proxy":                          "relays are not offered yet",
	"rate_policy_allowed":            "",
	"read_threads":                   "",
	"remote_access_key":              "",
	"remote_password":                "secrets of accounts come from the environment",
	"remove_after_transfer":          "sources are not removed",
	"remove_empty_directories":       "sources are not removed",
	"remove_empty_source_dir":        "sources are not removed",
	"remove_empty_source_directory":  "sources are not removed",
	"remove_skipped":                 "sources are not removed",
	"retry_duration":                 "waits between attempts grow by themselves",
	"save_before_overwrite":          "files that are replaced are not kept",
	"skip_duplicate_check":           "",
	"ssh_args":                       "no other program is run to log in",
	"ssh_port":                       "",
	"ssh_private_key":                "secrets of accounts come from the environment",
	"ssh_private_key_passphrase":     "secrets of accounts come from the environment",
	"ssh_private_key_path":           "the file of a private key is an option of the program",
	"target_rate_cap_kbps":           "",
	"target_rate_percentage":         "",
	"use_ascp4":                      "",
	"use_system_ssh":                 "",
	"write_threads":                  "",
	"wss_cert_auth_path":             "",
}

// specAliases are fields under other names, and those that are read here.
var specAliases = map[string]func(j map[string]json.RawMessage, v json.RawMessage, x *SpecExtra) error{
	"read_block_size":  rename("read_size"),
	"write_block_size": rename("write_size"),
	"src_base64":       specBase64("src_base"),
	"source_root": func(j map[string]json.RawMessage, v json.RawMessage, _ *SpecExtra) error {
		var root string
		var paths []Path
		if err := errors.Join(json.Unmarshal(v, &root), json.Unmarshal(j["paths"], &paths)); err != nil || root == "" {
			return err
		}
		for i := range paths {
			paths[i].Source = path.Join(root, paths[i].Source)
		}
		return specSet(j, "paths", paths)
	},
	"source_root_id":      specID("source_root_id"),
	"destination_root_id": specID("destination_root_id"),
	"tags":                func(j map[string]json.RawMessage, v json.RawMessage, _ *SpecExtra) error { return specTags(j, v) },
	"tags64": func(j map[string]json.RawMessage, v json.RawMessage, _ *SpecExtra) error {
		var text string
		if err := json.Unmarshal(v, &text); err != nil {
			return err
		}
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return errors.New("want base64")
		}
		return specTags(j, b)
	},
	"multi_session": func(_ map[string]json.RawMessage, v json.RawMessage, x *SpecExtra) error {
		if err := json.Unmarshal(v, &x.Sessions); err != nil || x.Sessions < 0 || x.Sessions > 128 {
			return errors.New("want a number of sessions from 0 to 128")
		}
		x.Sessions = min(x.Sessions, 64)
		return nil
	},
	"sshfp": func(_ map[string]json.RawMessage, v json.RawMessage, x *SpecExtra) error {
		if err := json.Unmarshal(v, &x.Fingerprint); err != nil {
			return err
		}
		if !strings.HasPrefix(x.Fingerprint, "sha256:") && x.Fingerprint != "" {
			x.Fingerprint = ""
			x.Notes = append(x.Notes, SpecNote{"sshfp", "a node is known by the fingerprint of its own key, sha256:..., which its API puts here"})
		}
		return nil
	},
	"wss_enabled": func(_ map[string]json.RawMessage, v json.RawMessage, x *SpecExtra) error {
		if json.Unmarshal(v, &x.WSS) != nil {
			return errors.New("want true or false")
		}
		return nil
	},
	"wss_port": func(_ map[string]json.RawMessage, v json.RawMessage, x *SpecExtra) error {
		if err := json.Unmarshal(v, &x.WSSPort); err != nil || x.WSSPort < 0 || x.WSSPort > 65535 {
			return errors.New("want a port, 1 to 65535")
		}
		return nil
	},
	"xfer_max_retries": func(_ map[string]json.RawMessage, v json.RawMessage, x *SpecExtra) error {
		if err := json.Unmarshal(v, &x.Retries); err != nil || x.Retries < 0 {
			return errors.New("want a number of attempts")
		}
		return nil
	},
	"resume_policy": func(j map[string]json.RawMessage, v json.RawMessage, _ *SpecExtra) error {
		var text string
		if err := json.Unmarshal(v, &text); err != nil {
			return err
		}
		if other, ok := map[string]string{"attributes": "attrs", "sparse_checksum": "sparse_csum", "full_checksum": "full_csum"}[text]; ok {
			text = other
		}
		return specSet(j, "resume_policy", text)
	},
}

func rename(to string) func(map[string]json.RawMessage, json.RawMessage, *SpecExtra) error {
	return func(j map[string]json.RawMessage, v json.RawMessage, _ *SpecExtra) error {
		j[to] = v
		return nil
	}
}

// specID takes the id of a file, which may be a number.
func specID(name string) func(map[string]json.RawMessage, json.RawMessage, *SpecExtra) error {
	return func(j map[string]json.RawMessage, v json.RawMessage, _ *SpecExtra) error {
		var id string
		if json.Unmarshal(v, &id) == nil {
			return nil
		}
		var n uint64
		if err := json.Unmarshal(v, &n); err != nil {
			return errors.New("want a text or a whole number")
		}
		return specSet(j, name, fmt.Sprint(n))
	}
}

func specBase64(to string) func(map[string]json.RawMessage, json.RawMessage, *SpecExtra) error {
	return func(j map[string]json.RawMessage, v json.RawMessage, _ *SpecExtra) error {
		var text string
		if err := json.Unmarshal(v, &text); err != nil {
			return err
		}
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return errors.New("want base64")
		}
		return specSet(j, to, string(b))
	}
}

func specSet(j map[string]json.RawMessage, name string, v any) error {
	b, err := json.Marshal(v)
	j[name] = b
	return err
}

// specTags takes an object.
func specTags(j map[string]json.RawMessage, b []byte) error {
	if checkTags(b) != nil {
		return errors.New("want an object, in UTF-8")
	}
	j["tags"] = json.RawMessage(b)
	return nil
}

// ReadSpec reads a transfer specification as other programs write it (docs/transfer-spec.md). Fields that have no effect here are named in Notes, those that
// nobody knows among them; one that stands for nothing, such as false, 0, "" or "none", is not. Errors name the field. The token is in the Spec: it is not for logs.
func ReadSpec(b []byte) (Spec, SpecExtra, error) {
	x := SpecExtra{Retries: -1}
	if len(b) > maxSpec {
		return Spec{}, x, failf(CodeUsage, "", "a transfer specification has at most %d bytes", maxSpec)
	}
	var j map[string]json.RawMessage
	if err := json.Unmarshal(b, &j); err != nil || j == nil {
		return Spec{}, x, failf(CodeUsage, "", "a transfer specification is a JSON object: %w", specReason(err))
	}
	for _, name := range slices.Sorted(maps.Keys(j)) {
		v := j[name]
		if alias := specAliases[name]; alias != nil {
			if string(v) == "null" {
				continue
			}
			if !specKnown[name] {
				delete(j, name)
			}
			if err := alias(j, v, &x); err != nil {
				return Spec{}, x, failf(CodeUsage, "", "%s: %w", name, specReason(err))
			}
			continue
		}
		why, known := specOthers[name]
		switch {
		case specKnown[name]:
		case known && (why == "" || specNothing(v)):
			delete(j, name)
		case known:
			x.Notes = append(x.Notes, SpecNote{name, why})
			delete(j, name)
		default:
			x.Notes = append(x.Notes, SpecNote{clip(printable(name), 64), "no such field is known"})
			delete(j, name)
		}
	}
	var s Spec
	for name, v := range j { // one after the other, so that an error can name its field
		one, err := json.Marshal(map[string]json.RawMessage{name: v})
		if err == nil {
			err = json.Unmarshal(one, new(Spec))
		}
		if err != nil {
			return Spec{}, x, failf(CodeUsage, "", "%s: %w", name, specReason(err))
		}
	}
	all, err := json.Marshal(j)
	if err == nil {
		err = json.Unmarshal(all, &s)
	}
	if err != nil {
		return Spec{}, x, failf(CodeUsage, "", "%w", specReason(err))
	}
	local := "source_root_id"
	if s.Direction == Receive {
		local = "destination_root_id"
	}
	if v, ok := j[local]; ok && !specNothing(v) {
		x.Notes = append(x.Notes, SpecNote{local, "files of this side are named by path"})
	}
	return s, x, nil
}

// specReason takes out of an error of JSON what could repeat a value.
func specReason(err error) error {
	var te *json.UnmarshalTypeError
	if errors.As(err, &te) {
		return fmt.Errorf("want %s, not %s", te.Type.Kind(), te.Value)
	}
	return err
}

// specKnown has the fields that Spec.UnmarshalJSON reads.
var specKnown = func() map[string]bool {
	known := map[string]bool{}
	for _, name := range jsonFields(specJSON{}) {
		known[name] = true
	}
	return known
}()

// specNothing says whether a value asks for nothing.
func specNothing(v json.RawMessage) bool {
	switch strings.TrimSpace(string(v)) {
	case "null", "false", "0", `""`, `"none"`, "[]", "{}", `"0"`, `"false"`:
		return true
	}
	return false
}

// jsonFields returns the names that the fields of a struct have in JSON.
func jsonFields(v any) (names []string) {
	t := reflect.TypeOf(v)
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}
