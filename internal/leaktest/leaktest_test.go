package leaktest

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { Main(m) }

type runFunc func() int

func (f runFunc) Run() int { return f() }

func TestRunReportsLeak(t *testing.T) {
	release, ended := make(chan struct{}), make(chan struct{})
	var out bytes.Buffer
	code := run(runFunc(func() int {
		go func() {
			defer close(ended)
			<-release
		}()
		return 0
	}), &out, 20*time.Millisecond)

	require.Equal(t, 1, code, "a goroutine that still waits is a leak")
	require.Contains(t, out.String(), "1 goroutine(s) outlive the tests")
	require.Contains(t, out.String(), "TestRunReportsLeak", "the report names who started it")

	close(release)
	<-ended
	require.Zero(t, run(runFunc(func() int { return 0 }), &out, patience), "nothing is left once it has ended")
}

func TestRunWaitsForGoroutineThatIsEnding(t *testing.T) {
	var out bytes.Buffer
	code := run(runFunc(func() int {
		go func() { time.Sleep(10 * time.Millisecond) }()
		return 0
	}), &out, patience)
	require.Zero(t, code, out.String())
}

func TestRunKeepsTestFailure(t *testing.T) {
	require.Equal(t, 3, run(runFunc(func() int { return 3 }), new(bytes.Buffer), patience))
}

func TestOursIgnoresOthers(t *testing.T) {
	const stacks = `goroutine 1 [running]:
github.com/tradewind-io/tradewind/internal/leaktest.allStacks()

goroutine 7 [IO wait]:
net/http.(*persistConn).readLoop(0xc000)
created by net/http.(*Transport).dialConn in goroutine 6

goroutine 9 [select]:
time.Sleep(0x1)
created by github.com/tradewind-io/tradewind/fasp.Listen in goroutine 8
`
	leaked := ours(stacks)
	require.Len(t, leaked, 1)
	require.Contains(t, leaked[0], "goroutine 9 ")
	require.Empty(t, ours(""))
}

func TestClosersRunBehindTheTests(t *testing.T) {
	var order []string
	code := closing{
		runFunc(func() int { order = append(order, "tests"); return 3 }),
		[]func(){func() { order = append(order, "first") }, func() { order = append(order, "second") }},
	}.Run()
	require.Equal(t, 3, code, "the tests' own code")
	require.Equal(t, []string{"tests", "first", "second"}, order)
}
