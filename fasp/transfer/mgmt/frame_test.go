package mgmt

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

func TestAppend(t *testing.T) {
	for _, c := range []struct {
		name string
		f    Frame
		want string // "" if it must fail
		err  error
	}{
		{"no fields", Frame{Type: "NOP"}, "FASPMGR 2\nType: NOP\n\n", nil},
		{
			"in order",
			Frame{"RATE", []Field{{"Rate", "300000"}, {"MinRate", "0"}, {"CommandId", ""}}},
			"FASPMGR 2\nType: RATE\nRate: 300000\nMinRate: 0\nCommandId: \n\n", nil,
		},
		{
			"escaped path",
			Frame{"START", []Field{{"Source", "/dir\nwith\rspecial\x1b/file\x1bn"}, {"Destination", ""}}},
			"FASPMGR 2\nType: START\nSource: /dir\x1bnwith\x1brspecial\x1b\x1b/file\x1b\x1bn\nDestination: \n\n", nil,
		},
		{"blanks and colons of values stay", Frame{"ERROR", []Field{{"Description", "  a: b "}}}, "FASPMGR 2\nType: ERROR\nDescription:   a: b \n\n", nil},
		{"no type", Frame{Fields: []Field{{"Rate", "1"}}}, "", ErrFrame},
		{"type in two lines", Frame{Type: "NOP\nRate: 1"}, "", ErrFrame},
		{"type with a NUL", Frame{Type: "N\x00OP"}, "", ErrFrame},
		{"second type", Frame{"STATS", []Field{{"Type", "DONE"}}}, "", ErrFrame},
		{"line break in a text", Frame{"ERROR", []Field{{"Description", "a\nType: DONE"}}}, "", ErrFrame},
		{"carriage return in a text", Frame{"ERROR", []Field{{"Description", "a\rb"}}}, "", ErrFrame},
		{"NUL in a path", Frame{"STOP", []Field{{"File", "a\x00"}}}, "", ErrFrame},
		{"no name", Frame{"STOP", []Field{{"", "a"}}}, "", ErrFrame},
		{"line break in a name", Frame{"STOP", []Field{{"A\nB", "a"}}}, "", ErrFrame},
		{"colon in a name", Frame{"STOP", []Field{{"A: b", "a"}}}, "", ErrFrame},
		{"too many fields", Frame{"STOP", make([]Field, MaxFields+1)}, "", ErrTooLarge},
		{"too long", Frame{"STOP", []Field{{"File", strings.Repeat("a", MaxFrame)}}}, "", ErrTooLarge},
		{"too long when escaped", Frame{"STOP", []Field{{"File", strings.Repeat("\n", MaxFrame/2)}}}, "", ErrTooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, err := c.f.Append([]byte("before"))
			require.ErrorIs(t, err, c.err)
			require.Equal(t, "before"+c.want, string(b))
			if c.err == nil {
				got, err := NewReader(strings.NewReader(c.want)).Next()
				require.NoError(t, err)
				require.Equal(t, c.f, got)
			}
		})
	}
}

func TestGet(t *testing.T) {
	f := Frame{"RATE", []Field{{"Rate", "1"}, {"MinRate", "2"}, {"Rate", "3"}}}
	v, ok := f.Get("Rate")
	require.True(t, ok)
	require.Equal(t, "3", v, "the last one counts")
	_, ok = f.Get("rate")
	require.False(t, ok, "names are compared as they are written")
}

// TestReader reads what a strict writer sends, what a lenient one may, and what none may. One byte at a time is how a network may bring it.
func TestReader(t *testing.T) {
	long := strings.Repeat("x", 10_000) // longer than the buffer between
	for _, c := range []struct {
		name, in string
		want     []Frame
		err      error
	}{
		{"nothing", "", nil, io.EOF},
		{"two", "FASPMGR 2\nType: DONE\n\nFASPMGR 2\nType: QUERY\nQuery: a\n\n", []Frame{{Type: "DONE"}, {"QUERY", []Field{{"Query", "a"}}}}, io.EOF},
		{"CR LF", "FASPMGR 2\r\nType: RATE\r\nRate: 5\r\n\r\n", []Frame{{"RATE", []Field{{"Rate", "5"}}}}, io.EOF},
		{"no blank, one blank, two", "FASPMGR 2\nType:RATE\nA:b\nA: b\nA:  b\nB:\n\n", []Frame{{"RATE", []Field{{"A", "b"}, {"A", "b"}, {"A", " b"}, {"B", ""}}}}, io.EOF},
		{"empty lines between", "\n\r\n\nFASPMGR 2\nType: NOP\n\n\n\n", []Frame{{Type: "NOP"}}, io.EOF},
		{"type behind others", "FASPMGR 2\nRate: 5\nType: RATE\n\n", []Frame{{"RATE", []Field{{"Rate", "5"}}}}, io.EOF},
		{"long lines", "FASPMGR 2\nType: START\nSource: " + long + "\nA: " + long + "\n\n", []Frame{{"START", []Field{{"Source", long}, {"A", long}}}}, io.EOF},
		{"escapes", "FASPMGR 2\nType: START\nSource: a\x1bnb\x1brc\x1b\x1bn\x1bx\x1b\n\n", []Frame{{"START", []Field{{"Source", "a\nb\rc\x1bn\x1bx\x1b"}}}}, io.EOF},
		{"escapes of paths only", "FASPMGR 2\nType: QUERY\nQuery: a\x1bn\n\n", []Frame{{"QUERY", []Field{{"Query", "a\x1bn"}}}}, io.EOF},

		{"end in the header", "FASPMGR 2", nil, io.ErrUnexpectedEOF},
		{"end behind the header", "FASPMGR 2\n", nil, io.ErrUnexpectedEOF},
		{"end in a field", "FASPMGR 2\nType: DO", nil, io.ErrUnexpectedEOF},
		{"end before the empty line", "FASPMGR 2\nType: DONE\n", nil, io.ErrUnexpectedEOF},
		{"other version", "FASPMGR 3\nType: DONE\n\n", nil, ErrFrame},
		{"HTTP", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", nil, ErrFrame},
		{"no type", "FASPMGR 2\nRate: 1\n\n", nil, ErrFrame},
		{"empty type", "FASPMGR 2\nType: \n\n", nil, ErrFrame},
		{"two types", "FASPMGR 2\nType: RATE\nType: DONE\n\n", nil, ErrFrame},
		{"header in a frame", "FASPMGR 2\nType: RATE\nFASPMGR 2\nType: DONE\n\n", nil, ErrFrame},
		{"no colon", "FASPMGR 2\nType: RATE\nrate\n\n", nil, ErrFrame},
		{"no name", "FASPMGR 2\nType: RATE\n: 5\n\n", nil, ErrFrame},
		{"blank in a name", "FASPMGR 2\nType: RATE\nMin Rate: 5\n\n", nil, ErrFrame},
		{"NUL", "FASPMGR 2\nType: RATE\nRate: 5\x00\n\n", nil, ErrFrame},
		{"CR in a line", "FASPMGR 2\nType: RATE\nRate: 5\rA\n\n", nil, ErrFrame},
		{"one field too many", "FASPMGR 2\nType: RATE\n" + strings.Repeat("A: b\n", MaxFields+1) + "\n", nil, ErrTooLarge},
		{"one line too long", "FASPMGR 2\nType: START\nSource: " + strings.Repeat("x", MaxFrame) + "\n\n", nil, ErrTooLarge},
		{"no line at all", strings.Repeat("x", MaxFrame+1), nil, ErrTooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, in := range []io.Reader{strings.NewReader(c.in), iotest.OneByteReader(strings.NewReader(c.in))} {
				r := NewReader(in)
				for _, want := range c.want {
					f, err := r.Next()
					require.NoError(t, err)
					require.Equal(t, want, f)
				}
				for range 2 { // an error stays
					f, err := r.Next()
					require.ErrorIs(t, err, c.err)
					require.Equal(t, Frame{}, f)
					require.Equal(t, c.err == io.EOF, errors.Is(err, io.EOF))
				}
			}
		})
	}
}

// TestReaderLimits has frames that are just small enough.
func TestReaderLimits(t *testing.T) {
	f := Frame{Type: "START"}
	for range MaxFields - 1 {
		f.Fields = append(f.Fields, Field{"A", "b"})
	}
	b, err := f.Append(nil)
	require.NoError(t, err)
	f.Fields = append(f.Fields, Field{"Source", strings.Repeat("x", MaxFrame-len(b)-len("Source: \n"))})
	b, err = f.Append(nil)
	require.NoError(t, err)
	require.Len(t, b, MaxFrame)
	got, err := NewReader(strings.NewReader(strings.Repeat("\n", MaxFrame) + string(b) + string(b))).Next()
	require.NoError(t, err)
	require.Equal(t, f, got)

	f.Fields[len(f.Fields)-1].Value += "x"
	_, err = f.Append(nil)
	require.ErrorIs(t, err, ErrTooLarge)
}

func TestReaderPassesErrors(t *testing.T) {
	broken := errors.New("broken")
	_, err := NewReader(io.MultiReader(strings.NewReader("FASPMGR 2\nTy"), iotest.ErrReader(broken))).Next()
	require.ErrorIs(t, err, broken)
}

// FuzzReader: never a panic, and what was read is the same when it is written and read again.
func FuzzReader(f *testing.F) {
	for _, s := range []string{
		"FASPMGR 2\nType: RATE\nRate: 300000\n\nFASPMGR 2\nType: DONE\n\n",
		"FASPMGR 2\r\nRate:5\r\nType:RATE\r\n\r\n",
		"\nFASPMGR 2\nType: START\nSource: a\x1bnb\x1b\x1b\x1br\x1bx\x1b\nDestination: \xff\n\n",
		"FASPMGR 2\nType: DONE\nType: DONE\n\n",
		"FASPMGR 2\nType: RATE\n: 5\n\n",
		"FASPMGR 2\nType: ERROR\nDescription: a: b\nCode: 5",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r := NewReader(strings.NewReader(string(in)))
		for {
			fr, err := r.Next()
			if err != nil {
				return
			}
			_, _ = ParseCommand(fr)
			b, err := fr.Append(nil)
			if errors.Is(err, ErrTooLarge) && len(in) > MaxFrame/2 {
				continue // blanks and escapes that were missing make it longer
			}
			require.NoError(t, err)
			again, err := NewReader(strings.NewReader(string(b))).Next()
			require.NoError(t, err)
			require.Equal(t, fr, again)
		}
	})
}

// FuzzAppend: whatever a frame holds, it is refused, or read back as it is, and is one frame.
func FuzzAppend(f *testing.F) {
	f.Add("STOP", "File", "x\n\nFASPMGR 2\nType: DONE\n")
	f.Add("ERROR", "Description", "x\n\nFASPMGR 2\nType: DONE\n")
	f.Add("RATE\n", "Rate\nA", "\x1b\r")
	f.Fuzz(func(t *testing.T, typ, name, value string) {
		fr := Frame{typ, []Field{{name, value}}}
		b, err := fr.Append(nil)
		if err != nil {
			return
		}
		r := NewReader(strings.NewReader(string(b)))
		got, err := r.Next()
		require.NoError(t, err)
		require.Equal(t, fr, got)
		_, err = r.Next()
		require.Equal(t, io.EOF, err)
	})
}
