package nodeapi

import (
	"context"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/api"
)

// Act is something that somebody is about to do to the node itself.
type Act struct {
	Actor   string // "user NAME" or "key ID"
	Action  string // access_key.create, access_key.change, access_key.delete, account.add_public_key
	Object  string // the key's id, or the account's name
	Tenant  string // whose key it is
	Changed []string
}

// audit writes down what is about to be done. What cannot be written down is not done.
func (s *Server) audit(ctx context.Context, g accesskey.Grant, action string, k *accesskey.Key, changed []string) error {
	if s.cfg.Audit == nil {
		return nil
	}
	return s.cfg.Audit(ctx, Act{Actor: actor(g), Action: action, Object: k.ID, Tenant: k.Tenant, Changed: changed})
}

// actor names who makes a request.
func actor(g accesskey.Grant) string {
	if g.Master {
		return "user " + g.User
	}
	return "key " + g.KeyID
}

// changedFields names what a request changes, without the values, which may be secret.
func changedFields(in *api.AccessKeyRequest) []string {
	names := []string{}
	add := func(on bool, name string) {
		if on {
			names = append(names, name)
		}
	}
	add(in.Secret != "", "secret")
	add(len(in.Storage) > 0, "storage")
	add(in.TokenVerificationKey != nil, "token_verification_key")
	add(len(in.Configuration) > 0, "configuration")
	if t := in.Tradewind; t != nil {
		add(t.Tenant != nil, "tenant")
		add(t.Rights != nil, "rights")
		add(t.RateCap != nil, "rate_cap_bps")
		add(t.VLink != nil, "vlink")
		add(t.Root != nil, "root")
		add(t.Disabled != nil, "disabled")
		add(t.Note != nil, "note")
	}
	return names
}
