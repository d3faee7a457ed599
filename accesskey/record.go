package accesskey

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Record is a Key in the form in which it is kept outside a process: its secrets sealed, the rest readable. [Master.SealKey] makes one, [Master.OpenKey] reads it.
// It opens with the Master that it was sealed with, and under its own id only.
type Record struct {
	ID       string `json:"id"`
	Tenant   string `json:"tenant,omitempty"`
	State    string `json:"state"` // see State.String
	Disabled bool   `json:"disabled,omitempty"`
	// Verifiers are one of 32 bytes, or two where the secret before is still good, sealed.
	Verifiers []byte `json:"verifiers"`
	// Credentials are those of the storage, a JSON object, sealed; empty if it has none.
	Credentials []byte `json:"storage_credentials,omitempty"`
	// Doc is the rest.
	Doc json.RawMessage `json:"doc"`
}

// recordDoc is what a Record has in Doc.
type recordDoc struct {
	Rights        []string        `json:"rights"`
	Root          string          `json:"root,omitempty"`
	Storage       *Storage        `json:"storage,omitempty"`
	PreviousUntil *time.Time      `json:"previous_until,omitempty"`
	StateText     string          `json:"state_text,omitempty"`
	TokenKey      string          `json:"token_key,omitempty"`
	Config        json.RawMessage `json:"configuration,omitempty"`
	RateCap       int64           `json:"rate_cap_bps,omitempty"`
	VLink         string          `json:"vlink,omitempty"`
	Created       *time.Time      `json:"created,omitempty"`
	Note          string          `json:"note,omitempty"`
}

// The labels of what is sealed: it opens for its own key only.
func verifierLabel(id string) string    { return "tw-key-1\x00" + id }
func credentialsLabel(id string) string { return "tw-storage-1\x00" + id }

// SealKey returns k as it may be kept. Errors are those of Key.Check.
func (m Master) SealKey(k Key) (Record, error) {
	if err := k.Check(); err != nil {
		return Record{}, err
	}
	d := recordDoc{
		Rights: append([]string{}, k.Rights.names()...), Root: k.Root, Storage: k.Storage, StateText: k.StateText, TokenKey: k.TokenKey, Config: k.Config,
		RateCap: k.RateCap, VLink: k.VLink, Note: k.Note,
	}
	if !k.Created.IsZero() {
		d.Created = &k.Created
	}
	verifiers := k.Verifier[:]
	if k.Previous != (Verifier{}) {
		verifiers = append(append([]byte{}, verifiers...), k.Previous[:]...)
		d.PreviousUntil = &k.PreviousUntil
	}
	r := Record{ID: k.ID, Tenant: k.Tenant, State: k.State.String(), Disabled: k.Disabled, Verifiers: m.Seal(verifierLabel(k.ID), verifiers)}
	if k.Storage != nil && len(k.Storage.Credentials) > 0 {
		b, err := json.Marshal(k.Storage.Credentials)
		if err != nil {
			return Record{}, err
		}
		r.Credentials = m.Seal(credentialsLabel(k.ID), b)
	}
	var err error
	r.Doc, err = json.Marshal(d) // which leaves the credentials of a Storage out
	return r, err
}

// OpenKey returns the key of a record. Errors wrap ErrCorrupt, and never repeat what is secret.
func (m Master) OpenKey(r Record) (Key, error) {
	k, err := m.openKey(r)
	if err == nil {
		err = k.Check()
	}
	if err != nil && !errors.Is(err, ErrCorrupt) {
		err = fmt.Errorf("%w: %w", err, ErrCorrupt)
	}
	if err != nil {
		return Key{}, fmt.Errorf("record of access key %.*q: %w", MaxID, r.ID, err)
	}
	return k, nil
}

func (m Master) openKey(r Record) (Key, error) {
	var d recordDoc
	if err := json.Unmarshal(r.Doc, &d); err != nil {
		return Key{}, errors.New("its document is not one of a key")
	}
	k := Key{
		ID: r.ID, Tenant: r.Tenant, Disabled: r.Disabled, Root: d.Root, Storage: d.Storage, StateText: d.StateText, TokenKey: d.TokenKey, Config: d.Config,
		RateCap: d.RateCap, VLink: d.VLink, Note: d.Note,
	}
	if string(k.Config) == "null" {
		k.Config = nil
	}
	var err error
	if k.State, err = ParseState(r.State); err != nil {
		return k, err
	}
	if k.Rights, err = ParseRights(strings.Join(append([]string{"none"}, d.Rights...), ",")); err != nil {
		return k, err
	}
	if d.Created != nil {
		k.Created = *d.Created
	}
	plain, err := m.Open(verifierLabel(r.ID), r.Verifiers)
	if err != nil {
		return k, err
	}
	switch one := len(k.Verifier); {
	case len(plain) == one:
		k.Verifier = Verifier(plain)
	case len(plain) == 2*one && d.PreviousUntil != nil:
		k.Verifier, k.Previous, k.PreviousUntil = Verifier(plain[:one]), Verifier(plain[one:]), *d.PreviousUntil
	default:
		return k, errors.New("its verifiers are not whole")
	}
	if len(r.Credentials) == 0 {
		return k, nil
	}
	if k.Storage == nil {
		return k, errors.New("it has credentials and no storage")
	}
	if plain, err = m.Open(credentialsLabel(r.ID), r.Credentials); err != nil {
		return k, err
	}
	if err := json.Unmarshal(plain, &k.Storage.Credentials); err != nil {
		return k, errors.New("its storage credentials are not whole")
	}
	return k, nil
}
