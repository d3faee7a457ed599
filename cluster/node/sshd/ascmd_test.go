package sshd

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/accesskey"
)

// record is one of docs/ascmd.md section 3.
type record struct {
	typ   byte
	value string
}

// split takes records apart, as a client does.
func split(t testing.TB, b string) (list []record) {
	for len(b) > 0 {
		require.GreaterOrEqual(t, len(b), 5)
		n := int(binary.BigEndian.Uint32([]byte(b[1:5])))
		require.GreaterOrEqual(t, len(b), 5+n)
		list = append(list, record{b[0], b[5 : 5+n]})
		b = b[5+n:]
	}
	return list
}

// raw is the value of a field of a record.
func (r record) raw(t testing.TB, typ byte) string {
	for _, f := range split(t, r.value) {
		if f.typ == typ {
			return f.value
		}
	}
	return ""
}

// field is raw of a text.
func (r record) field(t testing.TB, typ byte) string {
	return strings.TrimSuffix(r.raw(t, typ), "\x00")
}

func (r record) number(t testing.TB, typ byte) int {
	var n int
	for _, c := range []byte(r.raw(t, typ)) {
		n = n<<8 | int(c)
	}
	return n
}

// ask gives lines to ascmd and returns the answers without the info record at the start.
func (w *world) ask(lines ...string) []record {
	c := w.joe()
	defer c.Close()
	out, _, err := w.run(c, "ascmd", strings.Join(lines, "\n")+"\nas_exit\n")
	require.NoError(w.t, err)
	all := split(w.t, out)
	require.NotEmpty(w.t, all)
	require.Equal(w.t, byte(recInfo), all[0].typ)
	return all[1:]
}

// refused is the error that a line is answered with.
func (w *world) refused(line string) (number int, text string) {
	w.t.Helper()
	all := w.ask(line)
	require.Len(w.t, all, 1, line)
	require.Equal(w.t, byte(recError), all[0].typ, line)
	return all[0].number(w.t, errorNumber), all[0].field(w.t, errorText)
}

func (w *world) write(name, content string) {
	path := filepath.Join(w.root, "joe", name)
	require.NoError(w.t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(w.t, os.WriteFile(path, []byte(content), 0o640))
	at := time.Unix(1_700_000_000, 0)
	require.NoError(w.t, os.Chtimes(path, at, at))
}

// bytesOf puts bytes together that are written in hex, with blanks, and in single quotes as they are.
func bytesOf(t *testing.T, parts ...string) string {
	var b strings.Builder
	for _, p := range parts {
		if s, ok := strings.CutPrefix(p, "'"); ok {
			b.WriteString(s)
			continue
		}
		raw, err := hex.DecodeString(strings.ReplaceAll(p, " ", ""))
		require.NoError(t, err)
		b.Write(raw)
	}
	return b.String()
}

// TestGolden: every answer, byte by byte.
func TestGolden(t *testing.T) {
	inWorld(t, Config{}, func(w *world) {
		w.write("f", "hello")
		w.write("d/g", "abc")
		c := w.joe()
		defer c.Close()
		info := func(protocol string) string {
			body := bytesOf(t, fmt.Sprintf("01 %08x", len(runtime.GOOS)+1), "'"+runtime.GOOS, "00", "02 0000000f", "'tradewind test", "00", "05 00000006", "'UTF-8", "00", "0c 00000002", "'"+protocol, "00")
			return bytesOf(t, fmt.Sprintf("05 %08x", len(body)), "'"+body)
		}
		for line, want := range map[string]string{
			"":                       "",
			"as_info":                info("1"),
			`as_mkdir "/new/dir"`:    bytesOf(t, "06 00000000"),
			`as_du "/"`:              bytesOf(t, "03 00000031", "01 00000008 0000000000000008", "02 00000004 00000002", "03 00000004 00000001", "04 00000004 00000000", "05 00000004 00000000"),
			`as_du /f`:               bytesOf(t, "03 00000031", "01 00000008 0000000000000005", "02 00000004 00000001", "03 00000004 00000000", "04 00000004 00000000", "05 00000004 00000000"),
			`as_md5sum "/f"`:         bytesOf(t, "09 00000026", "01 00000021", "'5d41402abc4b2a76b9719d911017c592", "00"),
			`as_cp "/f" "/g"`:        bytesOf(t, "04 00000054", "01 00000004 00000026", "02 00000046", "'copying within the server is not offered; download and upload instead\x00"),
			`as_rm "/nothing"`:       bytesOf(t, "04 00000028", "01 00000004 00000002", "02 0000001a", "'No such file or directory", "00"),
			`as_ls "/empty"`:         bytesOf(t, "02 00000000"),
			"as_ls /f\nas_exit\nxxx": "",
		} {
			require.NoError(t, os.RemoveAll(filepath.Join(w.root, "joe/new")))
			require.NoError(t, os.RemoveAll(filepath.Join(w.root, "joe/empty")))
			if strings.Contains(line, "empty") {
				require.NoError(t, os.Mkdir(filepath.Join(w.root, "joe/empty"), 0o755))
			}
			out, _, err := w.run(c, "ascmd", line+"\nas_exit\n")
			require.NoError(t, err)
			if strings.HasPrefix(line, "as_ls /f") {
				continue // see TestListing; what follows as_exit is not looked at
			}
			require.Equal(t, hex.EncodeToString([]byte(info("1")+want)), hex.EncodeToString([]byte(out)), line)
		}
		require.DirExists(t, filepath.Join(w.root, "joe"))

		// Protocol 2 begins with as_session_init, whose answer is the info record; without it that comes first all the same.
		for input, want := range map[string]string{
			"as_session_init --protocol=2 --host=h\nas_mkdir /d\nas_exit\n": info("2") + bytesOf(t, "06 00000000"),
			"as_mkdir /d\nas_exit\n":         info("2") + bytesOf(t, "06 00000000"),
			"as_exit\n":                      "",
			"as_session_init --protocol=3\n": info("2") + bytesOf(t, "04 00000047", "01 00000004 00000016", "02 00000039", "'as_session_init: want --protocol=1 or 2, and --host=HOST", "00"),
		} {
			out, _, err := w.run(c, "ascmd -V2", input)
			require.NoError(t, err)
			require.Equal(t, hex.EncodeToString([]byte(want)), hex.EncodeToString([]byte(out)), input)
		}
	})
}

func TestListing(t *testing.T) {
	inWorld(t, Config{}, func(w *world) {
		w.write("sub/a file", "hello")
		w.write(`sub/q"u\o`, "")
		require.NoError(t, os.Symlink("a file", filepath.Join(w.root, "joe/sub/link")))
		require.NoError(t, os.Symlink("/etc/passwd", filepath.Join(w.root, "joe/sub/out")))
		require.NoError(t, os.Mkdir(filepath.Join(w.root, "joe/sub/dir"), 0o700))
		all := w.ask(`as_ls "/sub"`, `as_ls "/sub/a file"`, `as_ls "/sub/q\"u\\o"`, "as_ls")
		require.Len(t, all, 4)
		byName := map[string]record{}
		require.Equal(t, byte(recDir), all[0].typ)
		for _, r := range split(t, all[0].value) {
			require.Equal(t, byte(recFile), r.typ)
			byName[r.field(t, statName)] = r
		}
		require.Len(t, byName, 5)
		f := byName["a file"]
		require.Equal(t, 5, f.number(t, statSize))
		require.Equal(t, 0o100640, f.number(t, statMode))
		require.Equal(t, "-rw-r-----", f.field(t, statZMode))
		require.Equal(t, 1_700_000_000, f.number(t, statMtime))
		require.Equal(t, "2023-11-14T22:13:20Z", f.field(t, statZMtime))
		require.Equal(t, "drwx------", byName["dir"].field(t, statZMode))
		require.Equal(t, 0o040700, byName["dir"].number(t, statMode))
		require.Equal(t, "a file", byName["link"].field(t, statSymlink))
		require.Equal(t, "l", byName["link"].field(t, statZMode)[:1])
		require.Empty(t, byName["out"].field(t, statSymlink), "what it names is not the client's to know")
		require.Equal(t, byte(recFile), all[1].typ)
		require.Equal(t, "a file", all[1].field(t, statName))
		require.Equal(t, `q"u\o`, all[2].field(t, statName))
		require.Equal(t, byte(recDir), all[3].typ)
	})
}

// TestLargeListing: what is too large for memory goes through a file, which does not stay; what is too large at all is refused.
func TestLargeListing(t *testing.T) {
	temp := t.TempDir()
	inWorld(t, Config{TempDir: temp, MaxEntries: 12_000}, func(w *world) {
		dir := filepath.Join(w.root, "joe", "many")
		require.NoError(t, os.MkdirAll(dir, 0o755))
		for i := range 12_000 {
			require.NoError(t, os.WriteFile(filepath.Join(dir, fmt.Sprint("file-", i)), nil, 0o644))
		}
		all := w.ask("as_ls /many", "as_du /many")
		require.Len(t, all, 2)
		require.Greater(t, len(all[0].value), 2*spillAt/2)
		seen := map[string]bool{}
		for _, r := range split(t, all[0].value) {
			seen[r.field(t, statName)] = true
		}
		require.Len(t, seen, 12_000)
		require.Equal(t, 12_000, all[1].number(t, sizeFiles))
		left, err := os.ReadDir(temp)
		require.NoError(t, err)
		require.Empty(t, left)
		require.Empty(t, w.server.spills)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "one more"), nil, 0o644))
		number, text := w.refused("as_ls /many")
		require.Equal(t, 75, number)
		require.Contains(t, text, "too many entries")
		left, err = os.ReadDir(temp)
		require.NoError(t, err)
		require.Empty(t, left)
	})
}

func TestArranging(t *testing.T) {
	inWorld(t, Config{}, func(w *world) {
		w.write("a", "1")
		w.write("b", "2")
		all := w.ask(`as_mkdir "/x/y"`, `as_mv /a "/x/y/a b"`, `as_rm /x`, `as_mkdir "/x"`)
		for _, r := range all {
			require.Equal(t, record{recSuccess, ""}, r)
		}
		require.Len(t, all, 4)
		require.NoFileExists(t, filepath.Join(w.root, "joe/x/y/a b"))
		w.write("c", "3")
		for line, want := range map[string]struct {
			number int
			text   string
		}{
			"as_mv /b /c":            {17, "File exists"},
			"as_mv /nothing /c":      {2, "No such file"},
			"as_rm /":                {22, "the place itself"},
			"as_ls /../..":           {22, ".."},
			"as_md5sum /x":           {21, "Is a directory"},
			"as_ls /c/d":             {20, "Not a directory"},
			"as_ls -f x":             {22, "options"},
			"as_ls /a /b":            {22, "wrong number"},
			"as_mv /a":               {22, "wrong number"},
			"as_what":                {38, "no such command"},
			`as_ls "/a`:              {22, "not closed"},
			"as_rm /.f.tw-part":      {22, "partial file"},
			"as_ls /nothing\x00":     {22, "NUL"},
			"as_du /nothing":         {2, "No such file"},
			"as_ls " + longName(300): {36, "too long"},
		} {
			number, text := w.refused(line)
			require.Equal(t, want.number, number, "%q: %s", line, text)
			require.Contains(t, text, want.text)
		}
		require.FileExists(t, filepath.Join(w.root, "joe/b"))

		// Out of the place leads no link, either.
		outside := filepath.Join(w.root, "outside")
		require.NoError(t, os.MkdirAll(outside, 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(outside, "secret"), []byte("s"), 0o644))
		require.NoError(t, os.Symlink("../outside", filepath.Join(w.root, "joe/way")))
		for _, line := range []string{"as_ls /way", "as_ls /way/secret", "as_md5sum /way/secret", "as_du /way", "as_mkdir /way/new", "as_mv /b /way/b", "as_rm /way/secret"} {
			_, text := w.refused(line)
			require.NotContains(t, text, w.root)
		}
		left, err := os.ReadDir(outside)
		require.NoError(t, err)
		require.Len(t, left, 1)
	})
}

func longName(n int) string { return "/" + strings.Repeat("x", n) }

func TestRights(t *testing.T) {
	inWorld(t, Config{}, func(w *world) {
		w.write("f", "1")
		need := map[string]string{
			"as_ls /": "list", "as_du /": "list", "as_df": "list|write", "as_md5sum /f": "read", "as_mkdir /d": "write", "as_mv /f /g": "write,delete", "as_rm /nothing": "delete",
		}
		for _, have := range []string{"none", "read", "write", "list", "delete", "write,list", "all"} {
			rights, err := accesskey.ParseRights(have)
			require.NoError(t, err)
			w.change(func(a *Account) { a.Grant.Rights = rights })
			for line, want := range need {
				allowed := false
				for alternative := range strings.SplitSeq(want, "|") {
					n, err := accesskey.ParseRights(alternative)
					require.NoError(t, err)
					allowed = allowed || (rights.Read || !n.Read) && (rights.Write || !n.Write) && (rights.List || !n.List) && (rights.Delete || !n.Delete)
				}
				all := w.ask(line)
				require.Len(t, all, 1)
				denied := all[0].typ == recError && all[0].number(t, errorNumber) == 13
				require.Equal(t, !allowed, denied, "%s with %s", line, have)
			}
		}
		// Who is disabled meanwhile is heard no more.
		c := w.joe()
		defer c.Close()
		s, err := c.NewSession()
		require.NoError(t, err)
		in, err := s.StdinPipe()
		require.NoError(t, err)
		require.NoError(t, s.Start("ascmd"))
		w.change(func(a *Account) { a.Disabled = true })
		_, err = in.Write([]byte("as_rm /f\n"))
		require.NoError(t, err)
		require.Error(t, s.Wait())
		_, err = os.Stat(filepath.Join(w.root, "joe/f"))
		require.True(t, err == nil || os.IsNotExist(err))
		require.NotContains(t, w.log.String(), "removed name=f")
	})
}

// TestLongLine: a line has a bound, and so has what a client that never ends one costs.
func TestLongLine(t *testing.T) {
	inWorld(t, Config{}, func(w *world) {
		c := w.joe()
		defer c.Close()
		out, errs, err := w.run(c, "ascmd", "as_ls "+strings.Repeat("x", maxCommand))
		require.Error(t, err)
		require.Contains(t, errs, "a line is too long")
		all := split(t, out)
		require.Equal(t, byte(recError), all[1].typ)
	})
}

func TestModes(t *testing.T) {
	for mode, want := range map[fs.FileMode]string{
		0o644: "-rw-r--r-- 100644", fs.ModeDir | 0o755: "drwxr-xr-x 40755", fs.ModeSymlink | 0o777: "lrwxrwxrwx 120777", fs.ModeNamedPipe: "p--------- 10000",
		fs.ModeSocket: "s--------- 140000", fs.ModeDevice: "b--------- 60000", fs.ModeDevice | fs.ModeCharDevice: "c--------- 20000", fs.ModeIrregular: "?--------- 0",
	} {
		require.Equal(t, want, fmt.Sprintf("%s %o", modeText(mode), unixMode(mode)))
	}
}
