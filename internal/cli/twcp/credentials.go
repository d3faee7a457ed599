package twcp

import (
	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/fasp/transfer"
	"github.com/tradewind-io/tradewind/internal/cli"
)

// Environment variables that hold secrets, as the product names them.
const (
	tokenVariable    = "ASPERA_SCP_TOKEN"
	passwordVariable = "ASPERA_SCP_PASS"
	keyVariable      = "ASPERA_SCP_KEY"
)

// credential finds out how to authenticate: token, if it is not empty, is that of a specification. With a token, a user name, password or private key given too is not used: programs that
// drive ascp always pass one.
func credential(o *options, user, token string, env cli.Env) (accesskey.Opener, error) {
	auth := func(err error) (accesskey.Opener, error) { return nil, err }
	from := "token"
	if token == "" {
		from, token = tokenVariable, env.Get(tokenVariable)
	}
	if token != "" {
		c, err := accesskey.ParseOpener(token)
		if err != nil {
			return auth(&transfer.Error{Code: transfer.CodeAuth, Op: from, Err: err})
		}
		return c, nil
	}
	const how = `SSH accounts are not offered yet; set ` + tokenVariable + ` to "Basic " and the base64 form of ID:SECRET, an access key of the node`
	switch {
	case env.Get(passwordVariable) != "":
		return auth(usagef("%s: a password was given, but %s", passwordVariable, how))
	case env.Get(keyVariable) != "":
		return auth(usagef("%s: a private key was given, but %s", keyVariable, how))
	case o.keyFile != "":
		return auth(usagef("-i: a private key was given, but %s", how))
	case user != "":
		return auth(usagef("user %s was given, but %s", user, how))
	}
	return auth(usagef(`no credentials: set %s to "Basic " and the base64 form of ID:SECRET, an access key of the node`, tokenVariable))
}
