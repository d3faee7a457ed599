package nodeapi

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/api"
)

// selfID stands for the caller's own key.
const selfID = "self"

// errNoKey is the same for keys that do not exist and for those that the caller may not know of.
var errNoKey = api.Errorf(http.StatusNotFound, "no such access key")

// keyOf finds the key that a request names, if the caller may know of it.
func (s *Server) keyOf(ctx context.Context, g accesskey.Grant, id string) (accesskey.Key, error) {
	if id == selfID {
		if g.Master {
			return accesskey.Key{}, api.Errorf(http.StatusNotFound, "a user of the node has no access key of its own")
		}
		id = g.KeyID
	}
	if !g.Master && id != g.KeyID {
		return accesskey.Key{}, errNoKey
	}
	k, err := s.cfg.Keys.Key(ctx, id)
	if errors.Is(err, accesskey.ErrNotFound) {
		return accesskey.Key{}, errNoKey
	}
	return k, err
}

// self answers GET /self.
func (s *Server) self(w http.ResponseWriter, r *http.Request, g accesskey.Grant) error {
	return s.showKey(w, r, g, selfID)
}

// getKey answers GET /access_keys/{id}.
func (s *Server) getKey(w http.ResponseWriter, r *http.Request, g accesskey.Grant) error {
	return s.showKey(w, r, g, r.PathValue("id"))
}

func (s *Server) showKey(w http.ResponseWriter, r *http.Request, g accesskey.Grant, id string) error {
	k, err := s.keyOf(r.Context(), g, id)
	if err != nil {
		return err
	}
	s.reply(w, http.StatusOK, s.view(&k))
	return nil
}

// listKeys answers GET /access_keys.
func (s *Server) listKeys(w http.ResponseWriter, r *http.Request, g accesskey.Grant) error {
	var keys []accesskey.Key
	if g.Master {
		var err error
		if keys, err = s.cfg.Keys.Keys(r.Context()); err != nil {
			return err
		}
	} else {
		k, err := s.keyOf(r.Context(), g, selfID)
		if err != nil {
			return err
		}
		keys = []accesskey.Key{k}
	}
	out := make([]api.AccessKey, len(keys))
	for i := range keys {
		out[i] = s.view(&keys[i])
	}
	w.Header().Set("X-Total-Count", strconv.Itoa(len(out)))
	s.reply(w, http.StatusOK, out)
	return nil
}

// createKey answers POST /access_keys.
func (s *Server) createKey(w http.ResponseWriter, r *http.Request, g accesskey.Grant) error {
	if !g.Master {
		return api.Errorf(http.StatusForbidden, "only a user of the node makes access keys")
	}
	var in api.AccessKeyRequest
	if err := s.decode(w, r, s.cfg.MaxBody, &in); err != nil {
		return err
	}
	if in.ID == selfID {
		return api.Errorf(http.StatusBadRequest, "id: %q stands for the caller's own key", selfID)
	}
	rooted := in.Tradewind != nil && in.Tradewind.Root != nil
	if err := mayRoot(g, &in); err != nil {
		return err
	}
	if len(in.Storage) == 0 && !rooted {
		return api.Errorf(http.StatusBadRequest, `storage is missing; the node's own is {"type":"local","path":"/"}`)
	}
	cred, err := accesskey.Generate(in.ID)
	if err != nil {
		return api.Errorf(http.StatusBadRequest, "id: %v", err)
	}
	if in.Secret != "" {
		if err := checkSecret(in.Secret); err != nil {
			return err
		}
		cred.Secret = in.Secret
	}
	k, warning, err := accesskey.NewKey(cred)
	if err != nil {
		return api.Errorf(http.StatusBadRequest, "secret: %v", err)
	}
	k.Created = s.cfg.Now().UTC()
	in.Secret = "" // it is not one that changes
	if _, err := s.apply(&k, &in); err != nil {
		return err
	}
	err = s.Exclusive(r.Context(), func() error {
		_, err := s.cfg.Keys.Key(r.Context(), k.ID)
		switch {
		case err == nil:
			return api.Errorf(http.StatusConflict, "access key %s exists already", k.ID)
		case !errors.Is(err, accesskey.ErrNotFound):
			return err
		}
		if err := k.Check(); err != nil {
			return api.Errorf(http.StatusBadRequest, "%v", err)
		}
		if err := s.audit(r.Context(), g, "access_key.create", &k, nil); err != nil {
			return err
		}
		return s.put(r.Context(), k)
	})
	if err != nil {
		return err
	}
	s.cfg.Logger.Info("access key made", "key", k.ID, "by", g.User)
	out := s.view(&k)
	out.Secret = cred.Secret
	if warning != "" {
		w.Header().Set(warningHeader, warning)
	}
	s.reply(w, http.StatusCreated, out)
	return nil
}

// changeKey answers PUT /access_keys/{id}.
func (s *Server) changeKey(w http.ResponseWriter, r *http.Request, g accesskey.Grant) error {
	var in api.AccessKeyRequest
	if err := s.decode(w, r, s.cfg.MaxBody, &in); err != nil {
		return err
	}
	return s.Exclusive(r.Context(), func() error {
		k, err := s.keyOf(r.Context(), g, r.PathValue("id"))
		if err != nil {
			return err
		}
		if in.ID != "" && in.ID != k.ID {
			return api.Errorf(http.StatusBadRequest, "id: that of a key does not change")
		}
		if err := errors.Join(mayChange(g, &in), mayRoot(g, &in)); err != nil {
			return err
		}
		before := k.Grant().Config
		warning, err := s.apply(&k, &in)
		if err != nil {
			return err
		}
		if after := k.Grant().Config; !g.Master && !sameLimits(before, after) {
			return api.Errorf(http.StatusForbidden, "configuration: target_rate_cap_kbps, allow and deny are changed by users of the node only")
		}
		if err := k.Check(); err != nil {
			return api.Errorf(http.StatusBadRequest, "%v", err)
		}
		if err := s.audit(r.Context(), g, "access_key.change", &k, changedFields(&in)); err != nil {
			return err
		}
		if err := s.put(r.Context(), k); err != nil {
			return err
		}
		s.cfg.Logger.Info("access key changed", "key", k.ID, "by", g.User)
		if warning != "" {
			w.Header().Set(warningHeader, warning)
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	})
}

// mayChange says whether the caller may make a change. What a key may do is not the key's to say, and a token, which ends, must not leave credentials behind that do not.
func mayChange(g accesskey.Grant, in *api.AccessKeyRequest) error {
	t := in.Tradewind
	switch {
	case g.Master:
		return nil
	case len(in.Storage) > 0 || t != nil && (t.Tenant != nil || t.Rights != nil || t.RateCap != nil || t.VLink != nil || t.Disabled != nil):
		return api.Errorf(http.StatusForbidden, "storage, tenant, rights, rate_cap_bps, vlink and disabled are changed by users of the node only")
	case isBearer(g):
		return api.Errorf(http.StatusForbidden, "a bearer token changes no access key; use the key's secret")
	}
	return nil
}

// sameLimits says whether two configurations bind a key alike.
func sameLimits(a, b accesskey.Configuration) bool {
	return a.RateCap == b.RateCap && slices.Equal(a.Allow, b.Allow) && slices.Equal(a.Deny, b.Deny)
}

// mayRoot says whether the caller may bind a key to a root: URIs are opened with what the node has, and may be folders of its machine.
func mayRoot(g accesskey.Grant, in *api.AccessKeyRequest) error {
	switch {
	case in.Tradewind == nil || in.Tradewind.Root == nil:
		return nil
	case !g.Local:
		return api.Errorf(http.StatusForbidden, "tradewind.root is set on the node's machine only; storage is for all")
	case len(in.Storage) > 0:
		return api.Errorf(http.StatusBadRequest, "a key has a storage or tradewind.root, not both")
	}
	return nil
}

// put stores a changed key, which was checked, and has its storage tried if it was not yet. The caller is the only one who changes keys.
func (s *Server) put(ctx context.Context, k accesskey.Key) error {
	if err := s.cfg.Keys.Put(ctx, k); err != nil {
		return err
	}
	if k.State == accesskey.Pending && !s.cfg.Unattended {
		s.probes.start(k.ID)
	}
	return nil
}

// deleteKey answers DELETE /access_keys/{id}.
func (s *Server) deleteKey(w http.ResponseWriter, r *http.Request, g accesskey.Grant) error {
	return s.Exclusive(r.Context(), func() error {
		k, err := s.keyOf(r.Context(), g, r.PathValue("id"))
		if err != nil {
			return err
		}
		if !g.Master {
			return api.Errorf(http.StatusForbidden, "only a user of the node removes access keys")
		}
		if err := s.audit(r.Context(), g, "access_key.delete", &k, nil); err != nil {
			return err
		}
		if err := s.cfg.Keys.Delete(r.Context(), k.ID); err != nil && !errors.Is(err, accesskey.ErrNotFound) {
			return err
		}
		s.cfg.Logger.Info("access key removed", "key", k.ID, "by", g.User)
		w.WriteHeader(http.StatusNoContent)
		return nil
	})
}
