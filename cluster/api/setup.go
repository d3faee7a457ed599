package api

import "encoding/json"

// Setup is the body of POST /files/upload_setup and /files/download_setup.
type Setup struct {
	Requests []SetupRequest `json:"transfer_requests"`
}

// SetupRequest wraps a TransferRequest.
type SetupRequest struct {
	Request TransferRequest `json:"transfer_request"`
}

// TransferRequest asks for a transfer.
type TransferRequest struct {
	Paths           []TransferPath `json:"paths,omitempty"`
	SourceRoot      string         `json:"source_root,omitempty"`
	DestinationRoot string         `json:"destination_root,omitempty"`
	// TokenLife is how many seconds the token is good; 0 is a day.
	TokenLife  int64           `json:"token_life_seconds,omitempty"`
	Cookie     string          `json:"cookie,omitempty"`
	RatePolicy string          `json:"rate_policy,omitempty"`
	TargetRate int64           `json:"target_rate_kbps,omitempty"`
	MinRate    int64           `json:"min_rate_kbps,omitempty"`
	Tags       json.RawMessage `json:"tags,omitempty"`
}

// TransferPath is a file or folder to be transferred, and where to.
type TransferPath struct {
	Source      string `json:"source,omitempty"`
	Destination string `json:"destination,omitempty"`
}

// SetupAnswer is the answer to Setup, one element for each request, in order.
type SetupAnswer struct {
	Specs []SpecAnswer `json:"transfer_specs"`
}

// SpecAnswer has a TransferSpec, or the Error of its request.
type SpecAnswer struct {
	Spec  *TransferSpec `json:"transfer_spec,omitempty"`
	Error *Error        `json:"error,omitempty"`
}

// TransferSpec is what a transfer client is started with.
type TransferSpec struct {
	Paths             []TransferPath  `json:"paths"`
	SourceRoot        string          `json:"source_root"`
	DestinationRoot   string          `json:"destination_root"`
	Token             string          `json:"token"`
	Direction         string          `json:"direction"` // send or receive, as the client sees it
	Cipher            string          `json:"cipher"`
	Cookie            string          `json:"cookie,omitempty"`
	Tags              json.RawMessage `json:"tags,omitempty"`
	RatePolicy        string          `json:"rate_policy"`
	RatePolicyAllowed string          `json:"rate_policy_allowed"`
	TargetRate        int64           `json:"target_rate_kbps,omitempty"`
	TargetRateCap     int64           `json:"target_rate_cap_kbps,omitempty"`
	MinRate           int64           `json:"min_rate_kbps"`
	RemoteHost        string          `json:"remote_host"`
	RemoteUser        string          `json:"remote_user"`
	HostFingerprint   string          `json:"sshfp,omitempty"`    // of the node's key
	SSHPort           int             `json:"ssh_port,omitempty"` // where accounts log in; left out where they do not
	FaspPort          int             `json:"fasp_port"`
	HTTPFallback      bool            `json:"http_fallback"`
	HTTPSFallbackPort int             `json:"https_fallback_port,omitempty"`
	WSSEnabled        bool            `json:"wss_enabled,omitempty"` // tickets are handed over, over WebSocket, at this port
	WSSPort           int             `json:"wss_port,omitempty"`
}
