package api

// TimeFormat is how times are written, for time.Format; they are in UTC.
const TimeFormat = "2006-01-02T15:04:05Z"

// Info is the answer of GET /info.
type Info struct {
	Application         string          `json:"application"` // "node"
	Version             string          `json:"version"`
	CurrentTime         string          `json:"current_time"`
	OS                  string          `json:"os"`
	AejStatus           string          `json:"aej_status"`                  // "disconnected": there are no reports to a journal
	AsyncReporting      string          `json:"async_reporting"`             // "no"
	TransferReporting   string          `json:"transfer_activity_reporting"` // "no"
	TransferUser        string          `json:"transfer_user"`
	Docroot             string          `json:"docroot"`
	NodeID              string          `json:"node_id"`
	ClusterID           string          `json:"cluster_id"`
	ACLs                []string        `json:"acls"`
	KeyConfigurationCan KeyCapabilities `json:"access_key_configuration_capabilities"`
	Capabilities        []NameValue     `json:"capabilities"`
	Settings            []NameValue     `json:"settings"`
}

// KeyCapabilities are the settings of access keys that a node acts on.
type KeyCapabilities struct {
	Transfer []string `json:"transfer"`
	Server   []string `json:"server"`
}

// NameValue is a capability or a setting: Value is a text, a number or a truth value.
type NameValue struct {
	Name  string `json:"name"`
	Value any    `json:"value"`
}
