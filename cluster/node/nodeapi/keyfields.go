package nodeapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/objstore"
)

const (
	rootFileID = "1"                 // of every key: its root is its own
	maxOverlap = 30 * 24 * time.Hour // of two secrets
	maxNote    = 4 << 10
)

// apply makes the changes of a request to k. warning is not empty if the new secret is weak.
func (s *Server) apply(k *accesskey.Key, in *api.AccessKeyRequest) (warning string, err error) {
	if len(in.Storage) > 0 {
		st, err := accesskey.StorageFromJSON(in.Storage)
		if err != nil {
			return "", api.Errorf(http.StatusBadRequest, "%v", err)
		}
		k.Storage, k.Root = &st, ""
		ResetState(k)
	}
	if in.TokenVerificationKey != nil {
		k.TokenKey = *in.TokenVerificationKey
	}
	if len(in.Configuration) > 0 {
		if err := checkConfiguration(in.Configuration); err != nil {
			return "", err
		}
		if k.Config = in.Configuration; string(k.Config) == "null" {
			k.Config = nil
		}
	}
	var overlap time.Duration
	if t := in.Tradewind; t != nil {
		if err := settings(k, t); err != nil {
			return "", err
		}
		overlap = time.Duration(t.RotateOverlap) * time.Second
		switch {
		case t.RotateOverlap < 0 || t.RotateOverlap > int64(maxOverlap/time.Second):
			return "", api.Errorf(http.StatusBadRequest, "tradewind.rotate_overlap_seconds: want 0 to %d", int64(maxOverlap/time.Second))
		case overlap > 0 && in.Secret == "":
			return "", api.Errorf(http.StatusBadRequest, "tradewind.rotate_overlap_seconds goes with a new secret")
		}
	}
	if in.Secret == "" {
		return "", nil
	}
	if err := checkSecret(in.Secret); err != nil {
		return "", err
	}
	*k, warning, err = k.Rotate(accesskey.Credential{ID: k.ID, Secret: in.Secret}, overlap, s.cfg.Now())
	if err != nil {
		return "", api.Errorf(http.StatusBadRequest, "secret: %v", err)
	}
	return warning, nil
}

// checkSecret refuses a secret that could be found by trying: wrong credentials of keys are looked at however many there are.
func checkSecret(secret string) error {
	if utf8.RuneCountInString(secret) < accesskey.MinPassword {
		return api.Errorf(http.StatusBadRequest, "secret: want at least %d characters; let one be generated", accesskey.MinPassword)
	}
	return nil
}

// ResetState sets the state of a key that was given another place, or came to another node: pending if the place is in a storage, which has to be reached first, ready if it is a folder of the node.
func ResetState(k *accesskey.Key) {
	k.State, k.StateText = accesskey.Ready, ""
	if k.Storage != nil || objstore.IsURI(k.Root) {
		k.State = accesskey.Pending
	}
}

// settings makes the changes that are this project's own.
func settings(k *accesskey.Key, t *api.KeySettings) error {
	if t.Rights != nil {
		r, err := accesskey.ParseRights(strings.Join(append([]string{"none"}, *t.Rights...), ","))
		if err != nil {
			return api.Errorf(http.StatusBadRequest, "tradewind.rights: %v", err)
		}
		k.Rights = r
	}
	if t.Note != nil {
		if len(*t.Note) > maxNote {
			return api.Errorf(http.StatusBadRequest, "tradewind.note: more than %d bytes", maxNote)
		}
		k.Note = *t.Note
	}
	if t.Root != nil {
		root, err := CleanRoot(*t.Root)
		if err != nil {
			return api.Errorf(http.StatusBadRequest, "tradewind.root: %v", err)
		}
		k.Root, k.Storage = root, nil
		ResetState(k)
	}
	set(&k.Tenant, t.Tenant)
	set(&k.RateCap, t.RateCap)
	set(&k.VLink, t.VLink)
	set(&k.Disabled, t.Disabled)
	return nil
}

// CleanRoot returns a place below the docroot as it is kept, a slash path, "" for the docroot itself, or the URI of a place of its own.
func CleanRoot(text string) (string, error) {
	if objstore.IsURI(text) {
		u, err := objstore.ParseURI(text)
		if err != nil {
			return "", err
		}
		return u.String(), nil
	}
	root := strings.Trim(filepath.ToSlash(text), "/")
	if root == "" || root == "." {
		return "", nil
	}
	if !filepath.IsLocal(filepath.FromSlash(root)) {
		return "", fmt.Errorf("%q leads out of the docroot: give a folder below it", text)
	}
	return path.Clean(root), nil
}

func set[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

// refusedConfiguration are settings that a key cannot have here: secrets, since nothing here uses them and answers show the configuration.
var refusedConfiguration = []struct{ group, name string }{{"transfer", "content_protection_secret"}, {"transfer", "token_encryption_key"}}

// checkConfiguration looks at a configuration object. What accesskey.Configuration has not is kept and shown again, and has no effect.
func checkConfiguration(b json.RawMessage) error {
	if len(b) > maxConfigObject {
		return api.Errorf(http.StatusBadRequest, "configuration: more than %d bytes", maxConfigObject)
	}
	var groups map[string]json.RawMessage
	if json.Unmarshal(b, &groups) != nil {
		return api.Errorf(http.StatusBadRequest, "configuration: want an object")
	}
	for _, f := range refusedConfiguration {
		var group map[string]json.RawMessage
		if g := groups[f.group]; len(g) > 0 && json.Unmarshal(g, &group) != nil {
			return api.Errorf(http.StatusBadRequest, "configuration.%s: want an object", f.group)
		}
		for name, v := range group {
			if !strings.EqualFold(name, f.name) || bytes.Equal(v, []byte("null")) {
				continue
			}
			return api.Errorf(http.StatusBadRequest, "configuration.%s.%s: this node does not offer it", f.group, f.name)
		}
	}
	if _, err := accesskey.ParseConfiguration(b); err != nil {
		return api.Errorf(http.StatusBadRequest, "%v", err)
	}
	return nil
}

// view is what answers show of a key: nothing that one could authenticate with, here or at the storage.
func (s *Server) view(k *accesskey.Key) api.AccessKey {
	out := api.AccessKey{
		ID: k.ID, RootFileID: rootFileID, Storage: storageView(k), TokenVerificationKey: k.TokenKey, Configuration: k.Config,
		Tradewind: api.KeyState{
			Tenant: k.Tenant, Rights: []string{}, RateCap: k.RateCap, VLink: k.VLink, Disabled: k.Disabled, Note: k.Note, State: k.State.String(), Reason: k.StateText,
		},
	}
	if k.Rights != (accesskey.Rights{}) {
		out.Tradewind.Rights = strings.Split(k.Rights.String(), ",")
	}
	if !k.Created.IsZero() {
		out.Tradewind.Created = k.Created.UTC().Format(api.TimeFormat)
	}
	if s.cfg.Now().Before(k.PreviousUntil) {
		out.Tradewind.PreviousUntil = k.PreviousUntil.UTC().Format(api.TimeFormat)
	}
	return out
}

// storageView is the storage object of a key without credentials. A key that was made with a root and no storage shows as local, or by its URI.
func storageView(k *accesskey.Key) json.RawMessage {
	var v any = k.Storage
	switch {
	case k.Storage != nil:
	case objstore.IsURI(k.Root):
		v = map[string]string{"type": "uri", "path": k.Root}
	default:
		v = map[string]string{"type": "local", "path": "/" + strings.Trim(k.Root, "/")}
	}
	b, err := json.Marshal(v)
	if err != nil {
		panic("BUG: nodeapi: storage: " + err.Error())
	}
	return b
}
