package accesskey

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// tlsEnd is an end of a session with the given session secret; it keeps what was sent.
type tlsEnd struct {
	secret string
	calls  int
	sent   []byte
}

func (e *tlsEnd) ExportKeyingMaterial(label string, context []byte, n int) ([]byte, error) {
	e.calls++
	h := hmac.New(sha256.New, []byte(e.secret))
	fmt.Fprintf(h, "%d %s %s", len(label), label, context)
	return h.Sum(nil)[:n], nil
}

func (e *tlsEnd) SendMessage(_ context.Context, msg []byte) error {
	e.sent = msg
	return nil
}

func testKey(t testing.TB, c Credential) Key {
	t.Helper()
	k, _, err := NewKey(c)
	require.NoError(t, err)
	return k
}

var alice = Credential{ID: "alice", Secret: "aliceSecret-0123456789abcdef"}

// verify checks a message with the keys alone.
func verify(ctx context.Context, store Store, conn Exporter, msg []byte) (Grant, error) {
	return (&Checker{Keys: store}).Session(ctx, conn, msg)
}

func TestVerify(t *testing.T) {
	ctx := t.Context()
	store := &MemStore{}
	k := testKey(t, alice)
	k.Root, k.Rights, k.RateCap = "a/b", Rights{Read: true}, 5_000_000
	require.NoError(t, store.Put(ctx, k))
	prove := func(c Credential, session string) []byte {
		end := &tlsEnd{secret: session}
		require.NoError(t, c.Authenticate(ctx, end))
		return end.sent
	}
	server := func() *tlsEnd { return &tlsEnd{secret: "s1"} }

	g, err := verify(ctx, store, server(), prove(alice, "s1"))
	require.NoError(t, err)
	require.Equal(t, Grant{KeyID: "alice", Rights: Rights{Read: true}, Root: "a/b", RateCap: 5_000_000}, g)

	_, err = verify(ctx, store, server(), prove(alice, "s2"))
	require.Equal(t, ErrAuth, err, "a proof of another session is worth nothing")

	wrong, unknown := server(), server()
	g1, err1 := verify(ctx, store, wrong, prove(Credential{ID: "alice", Secret: "other"}, "s1"))
	g2, err2 := verify(ctx, store, unknown, prove(Credential{ID: "bob", Secret: "other"}, "s1"))
	require.Equal(t, []Grant{{KeyID: "alice"}, {KeyID: "bob"}}, []Grant{g1, g2}, "who it was is for the log; nothing is granted")
	require.Equal(t, ErrAuth, err1)
	require.Equal(t, err1, err2, "unknown id and wrong secret look the same")
	require.Equal(t, wrong.calls, unknown.calls, "and cost the same")

	zero, err := proof(Verifier{}, "bob", server())
	require.NoError(t, err)
	_, err = verify(ctx, store, server(), appendMessage(nil, message{method: methodKey, id: "bob", mac: zero}))
	require.Equal(t, ErrAuth, err, "a proof made with the verifier of unknown keys opens nothing")

	msg := prove(alice, "s1")
	for i := range msg {
		bent := append([]byte(nil), msg...)
		bent[i] ^= 1
		_, err := verify(ctx, store, server(), bent)
		require.Equal(t, ErrAuth, err, "byte %d changed", i)
		_, err = verify(ctx, store, server(), msg[:i])
		require.Equal(t, ErrAuth, err, "cut at %d", i)
	}

	k.Disabled = true
	require.NoError(t, store.Put(ctx, k))
	_, err = verify(ctx, store, server(), prove(alice, "s1"))
	require.Equal(t, ErrDisabled, err)
	_, err = verify(ctx, store, server(), prove(Credential{ID: "alice", Secret: "other"}, "s1"))
	require.Equal(t, ErrAuth, err, "only who holds the secret learns that the key is disabled")

	broken := errors.New("disk on fire")
	_, err = verify(ctx, failingStore{store, broken}, server(), prove(alice, "s1"))
	require.ErrorIs(t, err, broken)
	require.NotErrorIs(t, err, ErrAuth)
}

type failingStore struct {
	Store
	err error
}

func (f failingStore) Key(context.Context, string) (Key, error) { return Key{}, f.err }

func TestSecretsAreNotPrinted(t *testing.T) {
	k := testKey(t, alice)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q", "%d"} {
		text := fmt.Sprintf(verb, k) + fmt.Sprintf(verb, &k) + fmt.Sprintf(verb, []any{k, k.Verifier})
		require.NotContains(t, text, fmt.Sprintf("%x", k.Verifier[:4]), verb)
		require.NotContains(t, text, fmt.Sprintf("%d %d %d", k.Verifier[0], k.Verifier[1], k.Verifier[2]), verb)
		if verb == "%d" || verb == "%x" {
			continue // formats for a Credential that nobody uses
		}
		require.NotContains(t, fmt.Sprintf(verb, alice)+fmt.Sprintf(verb, []any{alice, &alice}), alice.Secret, verb)
	}
	for _, bad := range []string{"no-colon-hunter2", ":hunter2", "a b:hunter2", "Basic aHVudGVyMg==", "Bearer hunter2", strings.Repeat("x", 200) + ":hunter2"} {
		for _, parse := range []func(string) (Credential, error){ParseCredential, ParseToken} {
			_, err := parse(bad)
			require.Error(t, err)
			require.NotContains(t, err.Error(), "hunter2")
			require.NotContains(t, err.Error(), "aHVu")
		}
	}
}

func TestTokens(t *testing.T) {
	for _, text := range []string{alice.Token(), " basic  " + strings.TrimRight(alice.Token()[6:], "=")} {
		c, err := ParseToken(text)
		require.NoError(t, err, text)
		require.Equal(t, alice, c)
	}
	c, err := ParseCredential("id:se:cret")
	require.NoError(t, err)
	require.Equal(t, "se:cret", c.Secret)
	_, err = ParseToken(Credential{ID: "id", Secret: "secret\n"}.Token())
	require.ErrorContains(t, err, "line break")
	require.NotContains(t, err.Error(), "secret\n")
}

func TestGenerateAndWeakness(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		c, err := Generate("")
		require.NoError(t, err)
		_, warning, err := NewKey(c)
		require.NoError(t, err)
		require.Empty(t, warning)
		require.False(t, seen[c.ID] || seen[c.Secret])
		seen[c.ID], seen[c.Secret] = true, true
		require.Equal(t, "", weakness(fmt.Sprintf("%x", sha256.Sum256([]byte(c.Secret)))[:32]), "128 bits in hexadecimal")
	}
	for _, weak := range []string{"secret", "hunter2hunter2", strings.Repeat("a", 100), "123456789012345678901234567890", "correct horse battery"} {
		require.NotEmpty(t, weakness(weak), weak)
	}
	_, err := Generate("a:b")
	require.Error(t, err)
}

func TestRights(t *testing.T) {
	for _, s := range []string{"read,list", "none", "read,write,list,delete"} {
		r, err := ParseRights(s)
		require.NoError(t, err)
		require.Equal(t, s, r.String())
	}
	r, err := ParseRights("all")
	require.NoError(t, err)
	require.Equal(t, AllRights(), r)
	_, err = ParseRights("reed")
	require.Error(t, err)
}

func FuzzParseMessage(f *testing.F) {
	f.Add(appendMessage(nil, message{method: methodKey, id: "alice"}))
	f.Add(appendMessage(nil, message{method: methodKey, id: strings.Repeat("x", MaxID)}))
	f.Add(appendMessage(nil, message{method: methodBearer, id: "alice", token: "x"}))
	f.Add(appendMessage(nil, message{method: methodToken, token: "x"}))
	f.Add([]byte("TWAU\x01\x01\x81\x00a"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseMessage(b)
		if err != nil {
			return
		}
		require.Equal(t, b, appendMessage(nil, m), "what is parsed encodes back to the same bytes")
	})
}

func FuzzParseToken(f *testing.F) {
	f.Add(alice.Token())
	f.Add("Basic ")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseToken(s)
		if err != nil {
			return
		}
		again, err := ParseToken(c.Token())
		require.NoError(t, err)
		require.Equal(t, c, again)
	})
}
