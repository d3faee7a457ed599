package api

import "encoding/json"

// AccessKey is what an answer says of an access key. Of its credentials only the secret is ever shown, and only by the call that made it.
type AccessKey struct {
	ID                   string          `json:"id"`
	Secret               string          `json:"secret,omitempty"`
	RootFileID           string          `json:"root_file_id"`
	Storage              json.RawMessage `json:"storage"` // object with type and the fields of that type, without credentials
	TokenVerificationKey string          `json:"token_verification_key,omitempty"`
	Configuration        json.RawMessage `json:"configuration,omitempty"`
	Tradewind            KeyState        `json:"tradewind"`
}

// KeyState is what this project adds to an access key.
type KeyState struct {
	Tenant  string   `json:"tenant,omitempty"` // empty: the node's own
	Rights  []string `json:"rights"`           // of read, write, list, delete
	RateCap int64    `json:"rate_cap_bps"`     // bits per second for all sessions of the key together; 0 is no cap
	VLink   string   `json:"vlink,omitempty"`
	// Disabled keys are refused.
	Disabled bool   `json:"disabled"`
	Note     string `json:"note,omitempty"`
	State    string `json:"state"`                  // of the storage: synchronized, pending, error
	Reason   string `json:"state_reason,omitempty"` // why it is in error
	Created  string `json:"created,omitempty"`
	// PreviousUntil is when the secret before the present one ends, if it has not.
	PreviousUntil string `json:"previous_secret_until,omitempty"`
}

// AccessKeyRequest makes or changes an access key. What is absent is made up on creation and left as it is by a change.
type AccessKeyRequest struct {
	ID                   string          `json:"id,omitempty"` // not for changes
	Secret               string          `json:"secret,omitempty"`
	Storage              json.RawMessage `json:"storage,omitempty"` // replaced as a whole, credentials included; required on creation
	TokenVerificationKey *string         `json:"token_verification_key,omitempty"`
	Configuration        json.RawMessage `json:"configuration,omitempty"` // replaced as a whole
	Tradewind            *KeySettings    `json:"tradewind,omitempty"`
}

// KeySettings are those of this project; nil fields are left as they are.
type KeySettings struct {
	Tenant  *string   `json:"tenant,omitempty"`
	Rights  *[]string `json:"rights,omitempty"` // of read, write, list, delete; all on creation
	RateCap *int64    `json:"rate_cap_bps,omitempty"`
	VLink   *string   `json:"vlink,omitempty"`
	// Root binds the key to a folder below the node's docroot, or to the URI of a place that the node has the credentials of, in place of a storage. Only whoever looks after the node's machine sets
	// it (package admin).
	Root     *string `json:"root,omitempty"`
	Disabled *bool   `json:"disabled,omitempty"`
	Note     *string `json:"note,omitempty"`
	// RotateOverlap is how many seconds the secret before stays good beside the one that this request sets; 0 is none.
	RotateOverlap int64 `json:"rotate_overlap_seconds,omitempty"`
}
