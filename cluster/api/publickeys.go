package api

import (
	"context"
	"net/http"
)

// PublicKeyRequest gives an account a further public key to log in with.
type PublicKeyRequest struct {
	Username  string `json:"username"`
	PublicKey string `json:"public_key"` // a line of the form of OpenSSH's authorized_keys
}

// PublicKey is a key that an account logs in with.
type PublicKey struct {
	PublicKey string `json:"public_key"`
}

// AddPublicKey lets an account of SSH log in with a public key; for users of the node. A key that the account has changes nothing. It returns the line that is kept.
func (c *Client) AddPublicKey(ctx context.Context, account, key string) (string, error) {
	out, err := ask[PublicKey](ctx, c, http.MethodPost, "/public_keys", PublicKeyRequest{account, key})
	return out.PublicKey, err
}
