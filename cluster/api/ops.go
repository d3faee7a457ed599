package api

import "encoding/json"

// Transfer is a job of a node, or a transfer that a client has begun there, as GET /ops/transfers tells of it. Times are microseconds since 1970, 0 where there is none.
type Transfer struct {
	ID     string         `json:"id"`
	Status TransferStatus `json:"status"`
	// Spec is what the transfer was asked to do, without secrets.
	Spec StartSpec `json:"start_spec"`
	// Notes are fields of the specification that have no effect.
	Notes []Note `json:"not_honoured,omitempty"`

	BytesTransferred int64  `json:"bytes_transferred"` // of content that crossed
	BytesWritten     int64  `json:"bytes_written"`     // of content that is at the destination: confirmed, or there before
	BytesLost        int64  `json:"bytes_lost"`        // of packets that had to be sent again
	AvgRateKbps      int64  `json:"avg_rate_kbps"`
	FilesCompleted   int64  `json:"files_completed"`
	FilesSkipped     int64  `json:"files_skipped"`
	FilesFailed      int64  `json:"files_failed"`
	Directories      int64  `json:"directories_completed"` // and links
	Start            int64  `json:"start_time_usec"`
	End              int64  `json:"end_time_usec"`
	Elapsed          int64  `json:"elapsed_usec"`
	ErrorCode        int    `json:"error_code"`
	ErrorDesc        string `json:"error_desc"`
	// Attempts is how often it was tried, and NextTry when it is tried again.
	Attempts int     `json:"attempts"`
	NextTry  int64   `json:"next_try_usec,omitempty"`
	Precalc  Precalc `json:"precalc"`

	Sessions []TransferSession `json:"sessions,omitempty"`
	Files    []TransferFile    `json:"files,omitempty"`
}

// TransferStatus is where a transfer stands.
type TransferStatus string

// The states. A transfer goes
//
//	waiting -> running -> completed, failed, partially_completed or canceled
//	waiting, running -> paused -> waiting
//	running -> waiting, to be tried again
const (
	Waiting            TransferStatus = "waiting"
	Running            TransferStatus = "running"
	Completed          TransferStatus = "completed"
	Failed             TransferStatus = "failed"
	PartiallyCompleted TransferStatus = "partially_completed" // done, but for some files
	Canceled           TransferStatus = "canceled"
	Paused             TransferStatus = "paused"
)

// Over says whether nothing more happens.
func (s TransferStatus) Over() bool {
	return s == Completed || s == Failed || s == PartiallyCompleted || s == Canceled
}

// Note is a field of a specification that has no effect, and why.
type Note struct {
	Field string `json:"field"`
	Why   string `json:"why"`
}

// StartSpec is the specification of a transfer as it began.
type StartSpec struct {
	Direction       string          `json:"direction"` // send or receive, as the client of the session sees it
	SourcePaths     []string        `json:"source_paths"`
	DestinationPath string          `json:"destination_path"`
	RemoteHost      string          `json:"remote_host,omitempty"`
	RemoteUser      string          `json:"remote_user,omitempty"`
	FaspPort        int             `json:"fasp_port,omitempty"`
	RatePolicy      string          `json:"rate_policy,omitempty"`
	TargetRate      int64           `json:"target_rate_kbps"`
	MinRate         int64           `json:"min_rate_kbps"`
	Cipher          string          `json:"cipher,omitempty"`
	CreateDir       bool            `json:"create_dir"`
	Overwrite       string          `json:"overwrite_policy,omitempty"`
	Resume          string          `json:"resume_policy,omitempty"`
	Cookie          string          `json:"cookie,omitempty"`
	Title           string          `json:"title,omitempty"`
	Tags            json.RawMessage `json:"tags,omitempty"`
	TokenType       string          `json:"token_type"`
	ClientUser      string          `json:"client_token_user_id,omitempty"` // whom a client's bearer token names
	// AccessKey is the key whose place is the node's side, and Initiator who has begun it: node for jobs, client for others.
	AccessKey string `json:"access_key"`
	Initiator string `json:"initiator"`
}

// Precalc is what is known of the size of a transfer.
type Precalc struct {
	Status        string `json:"status"` // ready once all is found
	BytesExpected int64  `json:"bytes_expected"`
	FilesExpected int64  `json:"files_expected"`
}

// TransferSession is one session of a transfer.
type TransferSession struct {
	ID               string `json:"id"`
	Status           string `json:"status"` // running, completed, failed
	ClientAddress    string `json:"client_ip_address,omitempty"`
	ServerAddress    string `json:"server_ip_address,omitempty"`
	BytesTransferred int64  `json:"bytes_transferred"`
	BytesWritten     int64  `json:"bytes_written"`
	BytesLost        int64  `json:"bytes_lost"`
	FilesCompleted   int64  `json:"files_completed"`
	Directories      int64  `json:"directories_completed"`
	Start            int64  `json:"start_time_usec"`
	End              int64  `json:"end_time_usec"`
	Elapsed          int64  `json:"elapsed_usec"`
	AvgRateKbps      int64  `json:"avg_rate_kbps"`
	NetworkDelay     int64  `json:"network_delay_usec"`
	ErrorCode        int    `json:"error_code"`
	ErrorDesc        string `json:"error_desc"`
}

// TransferFile is one file of a transfer.
type TransferFile struct {
	ID           int64  `json:"id"`
	Session      string `json:"session_id"`
	Path         string `json:"path"`
	Type         string `json:"type"` // file, directory, link
	Status       string `json:"status"`
	Size         int64  `json:"size"`
	BytesWritten int64  `json:"bytes_written"`
	StartByte    int64  `json:"start_byte"`
	ChecksumType string `json:"checksum_type,omitempty"`
	Checksum     string `json:"checksum,omitempty"`
	ErrorCode    int    `json:"error_code"`
	ErrorDesc    string `json:"error_desc"`
}

// ChangeTransfer changes a transfer; what is nil stays.
type ChangeTransfer struct {
	// Status is canceled (also cancelled and stopped), paused, or running (also resume).
	Status     *string `json:"status,omitempty"`
	TargetRate *int64  `json:"target_rate_kbps,omitempty"`
	MinRate    *int64  `json:"min_rate_kbps,omitempty"`
	RatePolicy *string `json:"rate_policy,omitempty"`
}

// Event is something that happened.
type Event struct {
	ID        string          `json:"id"`
	Time      string          `json:"time"` // RFC 3339
	Types     []string        `json:"types"`
	AccessKey string          `json:"access_key"`
	Data      json.RawMessage `json:"data"`
}

// Moved is what was moved, in bytes of content: in to the node's places, and out of them.
type Moved struct {
	ID         string `json:"id"` // access key, empty for all; of GET /usage/{id} that id
	BytesIn    int64  `json:"bytes_in"`
	BytesOut   int64  `json:"bytes_out"`
	BytesTotal int64  `json:"bytes_total"`
}
