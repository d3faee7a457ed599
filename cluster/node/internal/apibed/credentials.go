package apibed

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/accesskey"
)

// Noon is what the clock of every test says.
var Noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// AdminPassword is that of the user admin.
const AdminPassword = "a long password"

// Admins are the users of a node, of whom admin is the only one. They implement accesskey.Users.
type Admins struct{}

// PasswordHash implements accesskey.Users.
func (Admins) PasswordHash(_ context.Context, name string) (string, error) {
	if name != "admin" {
		return "", accesskey.ErrNotFound
	}
	return adminHash(), nil
}

var adminHash = sync.OnceValue(func() string {
	hash, err := accesskey.HashPassword(AdminPassword)
	if err != nil {
		panic(err)
	}
	return hash
})

// Signer is what the application of each key signs bearer tokens with.
var Signer = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

// SignerPEM is the public half of Signer, as keys have it.
func SignerPEM() string {
	der, err := x509.MarshalPKIXPublicKey(Signer().Public())
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// Bearer is the Authorization of a user of alpha's application, for an hour.
func (b *Bed) Bearer(user string, groups ...string) string {
	b.T.Helper()
	return b.Sealed(accesskey.Bearer{User: user, Groups: groups, Key: "ak_alpha"})
}

// Sealed is the Authorization that t makes, for an hour if t does not say until when.
func (b *Bed) Sealed(t accesskey.Bearer) string {
	b.T.Helper()
	if t.Expires.IsZero() {
		t.Expires = Noon.Add(time.Hour)
	}
	text, err := accesskey.SealBearer(t, Signer())
	require.NoError(b.T, err)
	return "Bearer " + text
}
