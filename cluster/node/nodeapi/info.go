package nodeapi

import (
	"net/http"
	"runtime"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/api"
)

// info answers GET /info.
func (s *Server) info(w http.ResponseWriter, _ *http.Request, g accesskey.Grant) error {
	in := s.cfg.Info
	if !g.Master { // where that is on the machine is for those who look after the node
		in.Docroot = "/"
	}
	out := api.Info{
		Application: "node", Version: in.Version, CurrentTime: s.cfg.Now().UTC().Format(api.TimeFormat), OS: runtime.GOOS,
		AejStatus: "disconnected", AsyncReporting: "no", TransferReporting: "no",
		TransferUser: in.User, Docroot: in.Docroot, NodeID: in.NodeID, ClusterID: in.ClusterID,
		ACLs: []string{}, KeyConfigurationCan: api.KeyCapabilities{Transfer: []string{"policy", "target_rate_kbps", "target_rate_cap_kbps"}, Server: []string{"allow", "deny"}},
		Capabilities: []api.NameValue{
			{Name: "symbolic_links", Value: true},
			{Name: "move_file", Value: true},
			{Name: "move_directory", Value: true},
			{Name: "page", Value: true},
			{Name: "ssh_fingerprint", Value: in.Fingerprint != ""},
			{Name: "sync", Value: false},
			{Name: "watchfolder", Value: false},
			{Name: "filelock", Value: false},
			{Name: "file_id_version", Value: ""},
			{Name: "auto_delete", Value: false},
		},
		Settings: []api.NameValue{
			{Name: "content_protection_required", Value: false},
			{Name: "content_protection_strong_pass_required", Value: false},
			{Name: "filelock_restriction", Value: "none"},
			{Name: "ssh_fingerprint", Value: in.Fingerprint},
			{Name: "wss_enabled", Value: in.WSSPort != 0},
		},
	}
	if in.WSSPort != 0 {
		out.Settings = append(out.Settings, api.NameValue{Name: "wss_port", Value: in.WSSPort})
	}
	s.reply(w, http.StatusOK, out)
	return nil
}
