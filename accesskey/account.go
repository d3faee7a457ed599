package accesskey

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Accounts are those who log in with a name, over SSH. Methods may be called by several goroutines at once.
type Accounts interface {
	// AccountGrant returns what the account of that name allows now, or ErrNotFound if there is none that may log in.
	AccountGrant(ctx context.Context, name string) (Grant, error)
}

// AccountID is what Grant.KeyID says of an account. No access key has it, since ids hold no colon.
func AccountID(name string) string { return accountPrefix + name }

// IsAccount says whether a Grant is one of an account, not of an access key.
func (g Grant) IsAccount() bool { return strings.HasPrefix(g.KeyID, accountPrefix) }

const accountPrefix = "ssh:"

// CheckAccount says what is wrong with the name of an account, nil if nothing is. Names are ids that may also be names of files, and do not begin with '.' or '-'.
func CheckAccount(name string) error {
	if err := checkID(name); err != nil {
		return fmt.Errorf("name of an account: %w", err)
	}
	if strings.HasPrefix(name, ".") || strings.HasPrefix(name, "-") || strings.ContainsAny(name, "<>|?*@") {
		return errors.New("the name of an account does not begin with '.' or '-' and has no '<', '>', '|', '?', '*' and '@'")
	}
	return nil
}

// account is the grant of the account that a ticket names.
func (c *Checker) account(ctx context.Context, name string) (Grant, error) {
	none := Grant{KeyID: AccountID(name)}
	if c.Accounts == nil {
		return none, ErrAuth
	}
	g, err := c.Accounts.AccountGrant(ctx, name)
	switch {
	case errors.Is(err, ErrNotFound):
		return none, ErrAuth
	case err != nil:
		return none, fmt.Errorf("look up an account: %w", err)
	}
	g.KeyID = none.KeyID
	return g, nil
}
