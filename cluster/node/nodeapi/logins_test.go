package nodeapi

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/node/logins"
)

// TestGuessesAreBounded: wrong credentials of an address use up its attempts, whatever they are for; who has a key goes on, and nobody's password is looked at meanwhile.
func TestGuessesAreBounded(t *testing.T) {
	b := newBed(t)
	now := noon
	b.srv.cfg.Logins = logins.NewGate(nil, func() time.Time { return now })
	wrong := func(id string) string { return accesskey.Credential{ID: id, Secret: "a wrong secret"}.Token() }
	guesses := []string{wrong("ak_alpha"), wrong("nobody"), "Bearer x", "Basic ?", wrong("admin")}
	for i := range logins.SourceBurst {
		require.Equal(t, http.StatusUnauthorized, b.Do(guesses[i%4], "GET", "/info", "").Status)
	}
	for _, auth := range append(guesses, b.Admin) {
		a := b.Do(auth, "GET", "/info", "")
		require.Equal(t, http.StatusTooManyRequests, a.Status, a.Body)
	}
	require.Equal(t, logins.SourceBurst, strings.Count(b.log.String(), `msg="wrong credentials" source=`), "who looks after the node sees them, and no flood")
	require.NotContains(t, b.log.String(), "a wrong secret")
	require.Equal(t, http.StatusOK, b.Do(b.Alpha, "GET", "/info", "").Status)
	require.Equal(t, http.StatusUnauthorized, b.Do("", "GET", "/info", "").Status, "nothing is no guess")
	now = now.Add(logins.SourceRefill)
	for range 3 * logins.SourceBurst {
		require.Equal(t, http.StatusOK, b.Do(b.Admin, "GET", "/info", "").Status, "what is right takes no attempt")
	}
	require.Equal(t, http.StatusUnauthorized, b.Do(wrong("admin"), "GET", "/info", "").Status)
	require.Equal(t, http.StatusTooManyRequests, b.Do(wrong("admin"), "GET", "/info", "").Status)
}
