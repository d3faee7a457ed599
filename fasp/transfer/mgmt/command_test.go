package mgmt

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/fasp"
)

func TestParseCommand(t *testing.T) {
	for _, c := range []struct {
		name   string
		typ    string
		fields []Field
		want   Command // the zero Command if it must fail
	}{
		{"rate", "RATE", []Field{{"Rate", "300000"}}, Command{Kind: CommandRate, Rates: Change{SetTarget: true, Target: 300 * fasp.Mbps}}},
		{"no ceiling", "RATE", []Field{{"Rate", "0"}}, Command{Kind: CommandRate, Rates: Change{SetTarget: true}}},
		{
			"all", "RATE",
			[]Field{{"CommandId", "5"}, {"Rate", "10"}, {"MinRate", "2"}, {"Adaptive", "Adaptive"}, {"Priority", "1"}, {"Other", "x"}},
			Command{Kind: CommandRate, ID: "5", Rates: Change{SetTarget: true, SetMin: true, SetPolicy: true, Target: 10 * fasp.Kbps, Min: 2 * fasp.Kbps, Priority: 1}},
		},
		{"trickle", "RATE", []Field{{"Adaptive", "Trickle"}}, Command{Kind: CommandRate, Rates: Change{SetPolicy: true, Policy: fasp.Low}}},
		{"words of command lines", "RATE", []Field{{"Adaptive", "high"}}, Command{Kind: CommandRate, Rates: Change{SetPolicy: true, Policy: fasp.High}}},
		{"cancel", "CANCEL", nil, Command{Kind: CommandCancel}},
		{"query", "QUERY", []Field{{"CommandId", "a b"}, {"Query", "x"}}, Command{Kind: CommandQuery, ID: "a b", Query: "x"}},
		{"start", "START", []Field{{"Source", "/a"}, {"Destination", "b"}}, Command{Kind: CommandStart, Source: "/a", Destination: "b"}},
		{"done", "DONE", nil, Command{Kind: CommandDone}},

		{"other type", "STATS", nil, Command{}},
		{"other case", "rate", []Field{{"Rate", "1"}}, Command{}},
		{"nothing to change", "RATE", []Field{{"CommandId", "5"}}, Command{}},
		{"share", "RATE", []Field{{"Rate", "50%"}}, Command{}},
		{"negative", "RATE", []Field{{"MinRate", "-1"}}, Command{}},
		{"too much", "RATE", []Field{{"Rate", "9223372036854775807"}}, Command{}},
		{"more than a session takes", "RATE", []Field{{"Rate", "4611686018427388"}}, Command{}},
		{"one of two", "RATE", []Field{{"Rate", "1"}, {"MinRate", ""}}, Command{}},
		{"policy", "RATE", []Field{{"Adaptive", "fast"}}, Command{}},
		{"priority", "RATE", []Field{{"Priority", "3"}}, Command{}},
		{"nowhere from", "START", []Field{{"Destination", "b"}}, Command{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseCommand(Frame{c.typ, c.fields})
			require.Equal(t, c.want, got)
			if c.want == (Command{}) {
				require.ErrorIs(t, err, ErrCommand)
			} else {
				require.NoError(t, err)
				require.Equal(t, c.typ, got.Kind.String())
			}
		})
	}
	got, err := ParseCommand(Frame{Type: "NOP"})
	require.NoError(t, err)
	require.Equal(t, Command{}, got)
}

func TestApply(t *testing.T) {
	was := fasp.Rates{Policy: fasp.High, Target: 5, Min: 2}
	for _, c := range []struct {
		name   string
		was    fasp.Rates
		change Change
		want   fasp.Rates
	}{
		{"nothing", was, Change{}, was},
		{"target", was, Change{SetTarget: true, Target: 9}, fasp.Rates{Policy: fasp.High, Target: 9, Min: 2}},
		{"no target, no floor", was, Change{SetTarget: true, SetMin: true}, fasp.Rates{Policy: fasp.High}},
		{"policy", was, Change{SetPolicy: true, Policy: fasp.Fixed}, fasp.Rates{Policy: fasp.Fixed, Target: 5, Min: 2}},
		{"down", was, Change{Priority: 2}, fasp.Rates{Policy: fasp.Fair, Target: 5, Min: 2}},
		{"up", fasp.Rates{}, Change{Priority: 1}, fasp.Rates{Policy: fasp.High}},
		{"says nothing of low", fasp.Rates{Policy: fasp.Low}, Change{Priority: 1}, fasp.Rates{Policy: fasp.Low}},
		{"policy and priority", fasp.Rates{Policy: fasp.Low}, Change{SetPolicy: true, Priority: 1}, fasp.Rates{Policy: fasp.High}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := c.change.Apply(c.was)
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
	_, err := Change{SetPolicy: true, Policy: fasp.Fixed}.Apply(fasp.Rates{})
	require.ErrorIs(t, err, ErrCommand)
}

// TestPolicyWords: what is said of a policy, said by a manager, is that policy.
func TestPolicyWords(t *testing.T) {
	for _, p := range []fasp.Policy{fasp.Fair, fasp.High, fasp.Low, fasp.Fixed} {
		adaptive, priority := policyWords(p)
		got, ok := parsePolicy(adaptive)
		require.True(t, ok)
		r, err := Change{SetPolicy: true, Policy: got, Priority: int(priority)}.Apply(fasp.Rates{Target: 1})
		require.NoError(t, err)
		require.Equal(t, p, r.Policy)
	}
}
