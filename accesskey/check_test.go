package accesskey

import (
	"bytes"
	"compress/zlib"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// someUsers are users by name, with hashes.
type someUsers map[string]string

func (u someUsers) PasswordHash(_ context.Context, name string) (string, error) {
	if h, ok := u[name]; ok {
		return h, nil
	}
	return "", ErrNotFound
}

var testRSA = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

func pemOf(t testing.TB, key *rsa.PublicKey) string {
	b, err := x509.MarshalPKIXPublicKey(key)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: b}))
}

func TestBasic(t *testing.T) {
	ctx := t.Context()
	store := &MemStore{}
	k := testKey(t, alice)
	k.Tenant = "acme"
	require.NoError(t, store.Put(ctx, k))
	hash, err := HashPassword("correct horse battery")
	require.NoError(t, err)
	now := time.Unix(1_700_000_000, 0)
	c := &Checker{Keys: store, Users: someUsers{"admin": hash}, Now: func() time.Time { return now }}

	g, err := c.Authorization(ctx, alice.Token(), "")
	require.NoError(t, err)
	require.Equal(t, "acme", g.Tenant)
	require.False(t, g.Master)
	g, err = c.Basic(ctx, "admin", "correct horse battery")
	require.NoError(t, err)
	require.Equal(t, Grant{Master: true, User: "admin", Rights: AllRights()}, g)
	for _, pair := range [][2]string{
		{"alice", "wrong"},
		{"alice", ""},
		{"bob", alice.Secret},
		{"admin", "wrong"},
		{"admin", ""},
		{"", ""},
		{"admin", strings.Repeat("x", 3000)},
		{"alice", "correct horse battery"},
		{"nobody", "correct horse battery"},
	} {
		_, err := c.Basic(ctx, pair[0], pair[1])
		require.Equal(t, ErrAuth, err, "%.40q", pair)
	}

	// A secret that was replaced is good for a while.
	next := Credential{ID: "alice", Secret: "the next secret 0123456789abcdef"}
	k, _, err = k.Rotate(next, time.Hour, now)
	require.NoError(t, err)
	require.NoError(t, store.Put(ctx, k))
	prove := func(c2 Credential) error {
		end := &tlsEnd{secret: "s"}
		require.NoError(t, c2.Authenticate(ctx, end))
		_, err := c.Session(ctx, &tlsEnd{secret: "s"}, end.sent)
		return err
	}
	for _, both := range []Credential{alice, next} {
		_, err := c.Basic(ctx, both.ID, both.Secret)
		require.NoError(t, err)
		require.NoError(t, prove(both))
	}
	now = now.Add(time.Hour)
	_, err = c.Basic(ctx, alice.ID, alice.Secret)
	require.Equal(t, ErrAuth, err)
	require.Equal(t, ErrAuth, prove(alice))
	require.NoError(t, prove(next))
	_, _, err = k.Rotate(Credential{ID: "bob", Secret: "x"}, 0, now)
	require.Error(t, err)

	k.Disabled = true
	require.NoError(t, store.Put(ctx, k))
	_, err = c.Basic(ctx, next.ID, next.Secret)
	require.Equal(t, ErrDisabled, err)
}

// TestUnknownCosts: with users, whatever fails has the password hashed once.
func TestUnknownCosts(t *testing.T) {
	var p Passwords
	ok, err := p.Check(t.Context(), "", "x")
	require.NoError(t, err)
	require.False(t, ok)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p.turns <- struct{}{}
	p.turns <- struct{}{}
	_, err = p.Check(ctx, "", "x")
	require.ErrorIs(t, err, context.Canceled, "it would be hashed, and waits for its turn")
	c := &Checker{Keys: &MemStore{}, Users: someUsers{}}
	c.passwords.once.Do(func() { c.passwords.turns, c.passwords.queue = make(chan struct{}), make(chan struct{}, 9) }) // nobody gets a turn
	require.NoError(t, c.Keys.Put(t.Context(), testKey(t, alice)))
	for _, id := range []string{"alice", "bob"} {
		_, err := c.Basic(ctx, id, "wrong")
		require.ErrorIs(t, err, context.Canceled, id)
	}
}

func TestPasswords(t *testing.T) {
	_, err := HashPassword("short")
	require.Error(t, err)
	hash, err := HashPassword("correct horse battery")
	require.NoError(t, err)
	var p Passwords
	for range 2 {
		ok, err := p.Check(t.Context(), hash, "correct horse battery")
		require.NoError(t, err)
		require.True(t, ok)
	}
	require.Len(t, p.right, 1)
	ok, err := p.Check(t.Context(), hash, "correct horse batterz")
	require.NoError(t, err)
	require.False(t, ok)
	require.Len(t, p.right, 1)
	for _, bad := range []string{"x", strings.Replace(hash, "m=65536", "m=6553600", 1), strings.Replace(hash, "argon2id", "argon2i", 1), hash + "$", hash + "="} {
		_, err := p.Check(t.Context(), bad, "x")
		require.Error(t, err, bad)
	}
}

func TestBearer(t *testing.T) {
	ctx := t.Context()
	now := time.Unix(1_700_000_000, 0)
	store := &MemStore{}
	k := testKey(t, alice)
	k.TokenKey = pemOf(t, &testRSA().PublicKey)
	require.NoError(t, store.Put(ctx, k))
	require.NoError(t, store.Put(ctx, testKey(t, Credential{ID: "bob", Secret: "b"})))
	c := &Checker{Keys: store, Now: func() time.Time { return now }}
	seal := func(b Bearer) string {
		s, err := SealBearer(b, testRSA())
		require.NoError(t, err)
		return s
	}
	good := Bearer{User: "u1", Key: "alice", Expires: now.Add(time.Minute), Groups: []string{"g"}}
	token := seal(good)
	for _, key := range []string{"", "alice"} {
		g, err := c.Authorization(ctx, "Bearer "+token, key)
		require.NoError(t, err)
		require.Equal(t, "u1", g.User)
		require.Equal(t, []string{"g"}, g.Groups)
		require.False(t, g.Owner)
		require.Equal(t, good.Expires.Unix(), g.Expires.Unix())
	}
	o, err := ParseOpener(" bearer  " + token + "\n")
	require.NoError(t, err)
	require.NotContains(t, fmt.Sprintf("%v %+v %#v %s %x", o, o, o, o, o), token[:8])
	msg, err := o.Opening(nil)
	require.NoError(t, err)
	g, err := c.Session(ctx, &tlsEnd{}, msg)
	require.NoError(t, err)
	require.Equal(t, "alice", g.KeyID)
	admin := good
	admin.Admin = true
	g, err = c.Bearer(ctx, "alice", seal(admin))
	require.NoError(t, err)
	require.True(t, g.Owner)

	old := good
	old.Expires = now
	_, err = c.Bearer(ctx, "alice", seal(old))
	require.Equal(t, ErrExpired, err)
	others := good
	others.Key = "bob"
	nobody := good
	nobody.User = ""
	for name, pair := range map[string][2]string{
		"another key's scope":  {"alice", seal(others)},
		"a key without public": {"bob", seal(others)},
		"an unknown key":       {"carol", token},
		"no user":              {"alice", seal(nobody)},
		"not base64":           {"alice", "%%%"},
		"cut":                  {"alice", token[:len(token)-8]},
		"empty":                {"alice", ""},
		"no key":               {"", token},
	} {
		_, err := c.Bearer(ctx, pair[0], pair[1])
		require.Equal(t, ErrAuth, err, name)
	}
	// Another text under the same signature.
	packed, err := base64.StdEncoding.DecodeString(token)
	require.NoError(t, err)
	z, err := zlib.NewReader(bytes.NewReader(packed))
	require.NoError(t, err)
	var text bytes.Buffer
	_, err = text.ReadFrom(z)
	require.NoError(t, err)
	require.Contains(t, text.String(), "\n==SIGNATURE==\n")
	for _, line := range strings.Split(strings.TrimSpace(text.String()), "\n")[2:] {
		require.LessOrEqual(t, len(line), 60)
	}
	_, err = c.Bearer(ctx, "alice", pack(strings.Replace(text.String(), "u1", "u2", 1)))
	require.Equal(t, ErrAuth, err)
	_, err = c.Bearer(ctx, "alice", pack(strings.Repeat("0", 10<<20)))
	require.Equal(t, ErrAuth, err, "ten megabytes of zeros are few bytes")
	require.Less(t, len(pack(strings.Repeat("0", 10<<20))), maxBearer)

	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err == nil { // where the library still makes such
		_, err = ParseTokenKey(pemOf(t, &weak.PublicKey))
		require.ErrorContains(t, err, "1024 bits")
	}
	_, err = ParseTokenKey("x")
	require.Error(t, err)
}

func pack(text string) string {
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	_, _ = z.Write([]byte(text))
	_ = z.Close()
	return base64.StdEncoding.EncodeToString(b.Bytes())
}

func TestTransferToken(t *testing.T) {
	ctx := t.Context()
	now := time.Unix(1_700_000_000, 0)
	store := &MemStore{}
	k := testKey(t, alice)
	k.Root = "a"
	require.NoError(t, store.Put(ctx, k))
	m := NewMaster()
	c := &Checker{Keys: store, Tokens: NewKeyring(m), Node: "n1", Now: func() time.Time { return now }}
	tok := TransferToken{Key: "alice", Direction: Upload, Paths: []string{"/in/x/", "."}, UsageID: "film", Node: "n1", Expires: now.Add(time.Minute)}
	text, err := c.Tokens.Seal(tok)
	require.NoError(t, err)
	require.True(t, IsTransferToken(text))
	o, err := ParseOpener(text)
	require.NoError(t, err)
	msg, err := o.Opening(nil)
	require.NoError(t, err)
	want := Grant{KeyID: "alice", Rights: Rights{Write: true, Delete: true}, Root: "a", Direction: Upload, Within: []string{"in/x", ""}, Expires: tok.Expires, UsageID: "film"}
	for _, check := range []func() (Grant, error){
		func() (Grant, error) { return c.Session(ctx, &tlsEnd{}, msg) },
		func() (Grant, error) { return c.Authorization(ctx, text, "") },
	} {
		g, err := check()
		require.NoError(t, err)
		require.Equal(t, want, g)
	}

	open := func(mend func(*TransferToken)) error {
		x := tok
		mend(&x)
		text, err := c.Tokens.Seal(x)
		require.NoError(t, err)
		_, err = c.TransferToken(ctx, text)
		return err
	}
	require.NoError(t, open(func(x *TransferToken) { x.Node = "" }))
	require.Equal(t, ErrExpired, open(func(x *TransferToken) { x.Expires = now }))
	require.Equal(t, ErrAuth, open(func(x *TransferToken) { x.Node = "n2" }))
	require.Equal(t, ErrAuth, open(func(x *TransferToken) { x.Key = "bob" }))
	for i := range text {
		bent := []byte(text)
		bent[i] ^= 1
		_, err := c.TransferToken(ctx, string(bent))
		require.Error(t, err, "character %d changed", i)
	}
	_, err = (&Checker{Keys: store, Tokens: NewKeyring(NewMaster()), Node: "n1", Now: c.Now}).TransferToken(ctx, text)
	require.Equal(t, ErrAuth, err, "another master key")
	for _, bad := range []TransferToken{
		{},
		{Key: "alice", Direction: Upload, Paths: []string{"a"}},
		{Key: "alice", Direction: Upload, Expires: now},
		{Key: "alice", Paths: []string{"a"}, Expires: now},
		{Key: "alice", Direction: Upload, Paths: []string{"a"}, Expires: now, UsageID: strings.Repeat("x", 256)},
		{Key: "alice", Direction: Upload, Paths: []string{"a/../.."}, Expires: now},
		{Key: "alice", Direction: Upload, Paths: []string{".."}, Expires: now},
		{Key: "alice", Direction: Download, Paths: []string{strings.Repeat("x", MaxToken)}, Expires: now},
	} {
		_, err := c.Tokens.Seal(bad)
		require.Error(t, err)
	}
	// Another key of the same id.
	k.Created = now.Add(123456 * time.Nanosecond)
	require.NoError(t, store.Put(ctx, k))
	require.NoError(t, open(func(x *TransferToken) { x.Made = k.Created }))
	require.NoError(t, open(func(*TransferToken) {}), "it does not say when its key was made")
	require.Equal(t, ErrAuth, open(func(x *TransferToken) { x.Made = k.Created.Add(-time.Microsecond) }))
	k.Disabled = true
	require.NoError(t, store.Put(ctx, k))
	require.Equal(t, ErrAuth, open(func(x *TransferToken) { x.Made = now.Add(-time.Hour) }))
	_, err = c.TransferToken(ctx, text)
	require.Equal(t, ErrDisabled, err, "a key that was disabled since")
	for _, unknown := range []string{"", "hello", "Bearer x", "Basic"} {
		_, err := ParseOpener(unknown)
		require.Error(t, err)
		_, err = c.Authorization(ctx, unknown, "")
		require.Equal(t, ErrAuth, err)
	}
}

func TestStorage(t *testing.T) {
	s, err := StorageFromJSON([]byte(`{"type":"aws_s3","bucket":"b","endpoint":"s3.example","path":"/x","credentials":{"type":"key","access_key_id":"AKID","secret_access_key":"hunter2"}}`))
	require.NoError(t, err)
	require.Equal(t, "hunter2", s.Credentials["secret_access_key"])
	b, err := json.Marshal(&s)
	require.NoError(t, err)
	for _, text := range []string{string(b), fmt.Sprint(s), fmt.Sprintf("%+v %#v", s, &s), s.LogValue().String(), fmt.Sprintf("%+v", Key{Storage: &s}), fmt.Sprintf("%#v", Grant{Storage: &s})} {
		require.NotContains(t, text, "hunter2")
		require.NotContains(t, text, "AKID")
	}
	for text, why := range map[string]string{
		`{`:                           "want an object",
		`[]`:                          "want an object",
		`{}`:                          "storage.type is missing",
		`{"type":"floppy"}`:           `storage.type "floppy"`,
		`{"type":"local","path":{}}`:  "storage.path",
		`{"type":"local","pth":"/x"}`: "storage.pth: there is no such field",
		`{"type":"aws_s3"}`:           "storage.bucket is missing",
		`{"type":"local","credentials":{"type":"key","key":"hunter2"}}`:                                              "storage.credentials.type",
		`{"type":"ibm-s3","bucket":"b","endpoint":"e","credentials":{"access_key_id":"hunter2"}}`:                    "storage.credentials.secret_access_key is missing",
		`{"type":"ibm-s3","bucket":"b","endpoint":"e","credentials":{"type":"iam-role"}}`:                            "storage.credentials.type",
		`{"type":"ibm-s3","bucket":"b","endpoint":"e","credentials":{"access_key_id":["hunter2"]}}`:                  "want a text or a number",
		`{"type":"azure_sas","container":"c","api":"BLOCK","credentials":{"shared_access_sgnature":"hunter2"}}`:      "shared_access_signature is missing",
		`{"type":"aws_s3","bucket":"b","endpoint":"e","credentials":"` + strings.Repeat("hunter2", 20_000) + `"}`:    "more than",
		`{"type":"aws_s3","bucket":"b","endpoint":"e","credentials":{"type":"key","hunter2":"x","access_key_id":1}}`: "secret_access_key is missing",
	} {
		_, err := StorageFromJSON([]byte(text))
		require.ErrorContains(t, err, why, "%.80s", text)
		require.NotContains(t, err.Error(), "hunter2")
	}
	for _, name := range StorageTypes() {
		require.NotEmpty(t, storageTypes[name].fields)
	}
	_, err = StorageFromJSON([]byte(`{"type":"google-gcs","path":"b/x","max_segments_per_compose":10000,"credentials":null}`))
	require.NoError(t, err)
}

func FuzzBearer(f *testing.F) {
	key := &testRSA().PublicKey
	token, err := SealBearer(Bearer{User: "u", Key: "k", Expires: time.Now()}, testRSA())
	require.NoError(f, err)
	f.Add(token)
	f.Add(pack("{}\n==SIGNATURE==\n"))
	f.Fuzz(func(t *testing.T, s string) {
		_ = BearerKey(s)
		b, err := OpenBearer(s, key, time.Unix(0, 0))
		if err == nil {
			require.NotEmpty(t, b.User)
		}
	})
}

func FuzzTransferToken(f *testing.F) {
	r := NewKeyring(Master{})
	text, err := r.Seal(TransferToken{Key: "k", Direction: Upload, Paths: []string{""}, Expires: time.Now()})
	require.NoError(f, err)
	f.Add(text)
	f.Fuzz(func(t *testing.T, s string) {
		if x, err := r.Open(s, "", time.Unix(0, 0)); err == nil {
			require.Equal(t, x.Direction != Manage, len(x.Paths) > 0)
		}
	})
}

func FuzzStorage(f *testing.F) {
	f.Add([]byte(`{"type":"local","path":"/x"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := StorageFromJSON(b)
		if err != nil {
			return
		}
		out, err := json.Marshal(s)
		require.NoError(t, err)
		again, err := StorageFromJSON(out)
		require.NoError(t, err)
		require.Equal(t, s.Fields, again.Fields)
	})
}
