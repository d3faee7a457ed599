package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/cluster/node/admin"
	"github.com/tradewind-io/tradewind/cluster/node/nodeapi"
	"github.com/tradewind-io/tradewind/cluster/state"
	"github.com/tradewind-io/tradewind/fasp/vlink"
)

// accounts implements admin.People, too.
var _ admin.People = (*accounts)(nil)

// each calls fn for each user of a kind, by name.
func (a *accounts) each(ctx context.Context, kind string, fn func(state.User) error) error {
	for after := ""; ; {
		list, next, err := a.state.Users(ctx, state.UserFilter{Kind: kind}, state.Page{After: after, Limit: 500})
		if err != nil {
			return err
		}
		for _, u := range list {
			if err := fn(u); err != nil {
				return err
			}
		}
		if after = next; after == "" {
			return nil
		}
	}
}

// Users implements admin.People.
func (a *accounts) Users(ctx context.Context) ([]admin.User, error) {
	list := []admin.User{}
	err := a.each(ctx, kindNode, func(u state.User) error {
		list = append(list, admin.User{Name: u.Name, Created: u.Created})
		return nil
	})
	return list, err
}

// SetUser implements admin.People.
func (a *accounts) SetUser(ctx context.Context, name, password string) error {
	c, err := accesskey.ParseCredential(name + ":" + password)
	if err == nil && c.ID != name {
		err = errors.New("the name has no ':'")
	}
	if err == nil {
		err = checkNodeUser(name)
	}
	if err == nil {
		_, err = accesskey.HashPassword(password)
	}
	if err != nil {
		return api.Errorf(http.StatusBadRequest, "user: %v", err)
	}
	return a.setUser(ctx, kindNode, c, nil)
}

// checkNodeUser says whether a user of the node may have this name. That of whoever works on the machine itself is taken: the audit log could not tell the two apart.
func checkNodeUser(name string) error {
	if name == admin.Actor {
		return fmt.Errorf("%q is who works on the node's machine, in the audit log; choose another name", name)
	}
	return nil
}

// DeleteUser implements admin.People.
func (a *accounts) DeleteUser(ctx context.Context, name string) error {
	return a.remove(ctx, kindNode, "user", name)
}

// DeleteAccount implements admin.People. The file of its public keys goes with it: who gets the name later is somebody else.
func (a *accounts) DeleteAccount(ctx context.Context, name string) error {
	if err := a.remove(ctx, kindSSH, "account", name); err != nil {
		return err
	}
	a.changed(accesskey.AccountID(name), accesskey.ErrNotFound)
	if err := os.Remove(filepath.Join(a.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the account is gone, and its public keys could not be removed: %w", err)
	}
	return nil
}

func (a *accounts) remove(ctx context.Context, kind, what, name string) error {
	err := a.state.DeleteUser(ctx, kind, name, 0)
	if errors.Is(err, state.ErrNotFound) {
		return api.Errorf(http.StatusNotFound, "there is no %s %s", what, name)
	}
	return err
}

// Accounts implements admin.People.
func (a *accounts) Accounts(ctx context.Context) ([]admin.Account, error) {
	list := []admin.Account{}
	err := a.each(ctx, kindSSH, func(u state.User) error {
		doc, g, err := readAccount(u.Name, u.Doc)
		if err != nil {
			return fmt.Errorf("account %s: %w", u.Name, err)
		}
		x := admin.Account{
			Name: u.Name, Root: doc.Root, Rights: []string{}, RateCap: doc.RateCap, VLink: doc.VLink, Keys: append([]string{}, doc.Keys...), Password: len(u.Secret) > 0, Disabled: doc.Disabled,
			Created: u.Created,
		}
		if g.Rights != (accesskey.Rights{}) {
			x.Rights = strings.Split(g.Rights.String(), ",")
		}
		list = append(list, x)
		return nil
	})
	return list, err
}

// ChangeAccount implements admin.People.
func (a *accounts) ChangeAccount(ctx context.Context, name string, c admin.AccountChange) error {
	if err := accesskey.CheckAccount(name); err != nil {
		return api.Errorf(http.StatusBadRequest, "%v", err)
	}
	hash := ""
	if c.Password != nil {
		var err error
		if hash, err = accesskey.HashPassword(*c.Password); err != nil {
			return api.Errorf(http.StatusBadRequest, "%v", err)
		}
	}
	if err := a.state.Update(ctx, func(tx *state.Tx) error {
		u, err := tx.User(ctx, kindSSH, name)
		known := err == nil
		switch {
		case err != nil && !errors.Is(err, state.ErrNotFound):
			return err
		case known && c.Create:
			return api.Errorf(http.StatusConflict, "account %s exists already", name)
		case !known && !c.Create:
			return api.Errorf(http.StatusNotFound, "there is no account %s", name)
		case !known:
			u = state.User{Kind: kindSSH, Name: name, Doc: json.RawMessage(`{"rights":["all"]}`)}
		}
		doc, _, err := readAccount(name, u.Doc)
		if err != nil {
			return err
		}
		if err := changeAccount(&doc, c); err != nil {
			return err
		}
		if u.Doc, err = json.Marshal(doc); err != nil {
			return err
		}
		if hash != "" {
			u.Secret = []byte(hash)
		}
		if !known {
			_, err = tx.CreateUser(ctx, u)
			return err
		}
		_, err = tx.UpdateUser(ctx, u)
		return err
	}); err != nil {
		return err
	}
	var why error
	if c.Disabled != nil && *c.Disabled {
		why = accesskey.ErrDisabled
	}
	a.changed(accesskey.AccountID(name), why)
	return nil
}

// changeAccount makes the changes that are asked for, if all of them can be made.
func changeAccount(doc *accountDoc, c admin.AccountChange) error {
	if c.Root != nil {
		root, err := nodeapi.CleanRoot(*c.Root)
		if err != nil {
			return api.Errorf(http.StatusBadRequest, "root: %v", err)
		}
		doc.Root = root
	}
	if c.Rights != nil {
		if _, err := accesskey.ParseRights(strings.Join(append([]string{"none"}, *c.Rights...), ",")); err != nil {
			return api.Errorf(http.StatusBadRequest, "rights: %v", err)
		}
		doc.Rights = *c.Rights
	}
	if c.RateCap != nil {
		if doc.RateCap = *c.RateCap; doc.RateCap < 0 {
			return api.Errorf(http.StatusBadRequest, "rate_cap_bps must not be negative")
		}
	}
	if c.VLink != nil {
		if err := vlink.CheckName(*c.VLink); err != nil {
			return api.Errorf(http.StatusBadRequest, "vlink: %v", err)
		}
		doc.VLink = *c.VLink
	}
	if c.Keys != nil {
		if _, problems := authorizedKeys([]byte(strings.Join(*c.Keys, "\n"))); len(problems) > 0 {
			return api.Errorf(http.StatusBadRequest, "authorized_keys: line %d: %s", problems[0].line, problems[0].why)
		}
		doc.Keys = *c.Keys
	}
	if c.Disabled != nil {
		doc.Disabled = *c.Disabled
	}
	return nil
}
