package node

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/cluster/node/internal/apibed"
)

// cli makes the requests that the command line client of the product makes: the same methods, paths, queries, headers and forms of bodies.
type cli struct {
	*realNode
	t     *testing.T
	mine  accesskey.Credential // of the access key whose folder it looks at
	other *realNode            // that jobs transfer to
	bert  accesskey.Credential // there
	auth  string
	key   string   // of a bearer token
	calls []string // that were made, as operations of the document, in order
}

// reply is an answer; its body is JSON or empty.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// read decodes the body.
func (r reply) read(t *testing.T, v any) {
	t.Helper()
	require.NoError(t, json.Unmarshal(r.body, v), string(r.body))
}

func (c *cli) call(method, path, body string, header ...string) reply {
	c.t.Helper()
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(c.t.Context(), method, "https://"+c.node.APIAddr().String()+path, in)
	require.NoError(c.t, err)
	req.Header.Set("Accept", "application/json")
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Authorization", c.auth)
	if c.key != "" {
		req.Header.Set("X-Aspera-AccessKey", c.key)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.http.Do(req)
	require.NoError(c.t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(c.t, err)
	name := apibed.Document(c.t).Operation(method, req.URL)
	if name == "" {
		name = method + " " + req.URL.Path
	}
	c.calls = append(c.calls, name)
	return reply{resp.StatusCode, resp.Header, b}
}

// ok is call for what must succeed.
func (c *cli) ok(status int, method, path, body string, header ...string) reply {
	c.t.Helper()
	r := c.call(method, path, body, header...)
	require.Equal(c.t, status, r.status, "%s %s: %s", method, path, r.body)
	return r
}

// items lists a folder to its end: page by page, until the header of the iteration token is empty.
func (c *cli) items(id string) (list []api.Entry) {
	c.t.Helper()
	query := "?per_page=1000"
	for token := "?"; token != ""; query = "?per_page=1000&iteration_token=" + token {
		r := c.ok(200, "GET", "/files/"+id+"/files"+query, "", "Accept-Version", "4.0")
		var page []api.Entry
		r.read(c.t, &page)
		list = append(list, page...)
		token = r.header.Get("X-Aspera-Next-Iteration-Token")
		total, err := strconv.Atoi(r.header.Get("X-Total-Count"))
		require.NoError(c.t, err)
		require.LessOrEqual(c.t, len(list), total)
	}
	return list
}

// root is what each command on files of an access key begins with.
func (c *cli) root() string {
	c.t.Helper()
	var k api.AccessKey
	c.ok(200, "GET", "/access_keys/self", "").read(c.t, &k)
	require.NotEmpty(c.t, k.RootFileID)
	return k.RootFileID
}

// find walks from the root to a path, folder after folder.
func (c *cli) find(path string) api.Entry {
	c.t.Helper()
	e := api.Entry{ID: c.root()}
	for el := range strings.SplitSeq(path, "/") {
		list := c.items(e.ID)
		i := slices.IndexFunc(list, func(e api.Entry) bool { return e.Name == el })
		require.GreaterOrEqual(c.t, i, 0, "%s of %s", el, path)
		e = list[i]
	}
	return e
}

// done wants each path of an answer to have no error.
func (c *cli) done(r reply) {
	c.t.Helper()
	var d api.Done
	r.read(c.t, &d)
	require.NotEmpty(c.t, d.Paths)
	for _, p := range d.Paths {
		require.Nil(c.t, p.Error)
	}
}

// spec reads the one specification of an answer, and wants what a transfer is started with.
func (c *cli) spec(r reply, direction string) api.TransferSpec {
	c.t.Helper()
	var a api.SetupAnswer
	r.read(c.t, &a)
	require.Len(c.t, a.Specs, 1)
	s := a.Specs[0].Spec
	require.NotNil(c.t, s)
	require.Equal(c.t, direction, s.Direction)
	require.Equal(c.t, "xfer", s.RemoteUser)
	require.Equal(c.t, "127.0.0.1", s.RemoteHost)
	require.Equal(c.t, c.port(), s.FaspPort)
	require.Equal(c.t, c.node.Fingerprint().String(), s.HostFingerprint)
	require.Equal(c.t, portOf(c.node.SSHAddr()), s.SSHPort)
	require.True(c.t, strings.HasPrefix(s.Token, "ATM"))
	return *s
}

// info reads what transfers with an access key go by.
func (c *cli) info() {
	c.t.Helper()
	var in api.Info
	c.ok(200, "GET", "/info", "").read(c.t, &in)
	require.Equal(c.t, "xfer", in.TransferUser, "the client warns of any other")
	require.Contains(c.t, in.Settings, api.NameValue{Name: "wss_enabled", Value: false})
	require.Contains(c.t, in.Settings, api.NameValue{Name: "ssh_fingerprint", Value: c.node.Fingerprint().String()})
	require.Contains(c.t, in.Capabilities, api.NameValue{Name: "symbolic_links", Value: true})
	_, err := time.Parse(api.TimeFormat, in.CurrentTime)
	require.NoError(c.t, err)
}

// at is where a path of the key lies.
func (c *cli) at(path string) string { return filepath.Join(c.docroot, c.mine.ID, path) }

// fill makes a folder with more files than a page has.
func (c *cli) fill() {
	for i := range many {
		c.file(fmt.Sprintf("%s/many/%04d", c.mine.ID, i), 0)
	}
}

// start begins a job that does not end by itself soon.
func (c *cli) start() string {
	c.t.Helper()
	b, err := json.Marshal(job(c.other, c.bert, map[string]any{"target_rate_kbps": 100, "paths": []any{map[string]any{"source": "/big"}}}))
	require.NoError(c.t, err)
	var x api.Transfer
	c.ok(200, "POST", "/ops/transfers", string(b)).read(c.t, &x)
	c.calls = nil // it is not one of the command's
	return x.ID
}

const many = 1001 // files of a folder: more than a page

// commands are those of the product's client, by the name that docs/compat.md has.
var commands = map[string]func(c *cli){
	"info": func(c *cli) { c.info() },
	"health": func(c *cli) {
		c.info()
		r := c.call("POST", "/services/soap/Transfer-201210", "<?xml version='1.0'?><x/>", "Content-Type", "text/xml;charset=UTF-8", "SOAPAction", "FASPSessionNET-200911#GetSessionInfo")
		require.Equal(c.t, 404, r.status)
	},
	"browse": func(c *cli) {
		c.fill()
		var l api.Listing
		c.ok(200, "POST", "/files/browse", `{"count":1000,"path":"/"}`).read(c.t, &l)
		require.Equal(c.t, "directory", l.Self.Type)
		require.EqualValues(c.t, len(l.Items), l.TotalCount)
		types := map[string]string{}
		for _, f := range l.Items {
			types[f.Basename] = f.Type
			require.Equal(c.t, []api.Permission{{Name: "view"}, {Name: "edit"}, {Name: "delete"}}, f.Permissions)
			require.Equal(c.t, "/"+f.Basename, f.Path)
		}
		require.Equal(c.t, map[string]string{"big": "file", "film": "directory", "link": "symbolic_link", "many": "directory"}, types)
		// The client goes on until it has total_count.
		seen := 0
		for seen < many {
			var l api.Listing
			c.ok(200, "POST", "/files/browse", fmt.Sprintf(`{"count":1000,"path":"/many","skip":%d}`, seen)).read(c.t, &l)
			require.EqualValues(c.t, many, l.TotalCount)
			require.NotEmpty(c.t, l.Items)
			seen += len(l.Items)
		}
		require.Equal(c.t, many, seen)
		l = api.Listing{}
		c.ok(200, "POST", "/files/browse", `{"count":1000,"path":"/film/a.mov"}`).read(c.t, &l)
		require.Equal(c.t, "file", l.Self.Type, "a file is known by self")
		require.Equal(c.t, 404, c.call("POST", "/files/browse", `{"count":1000,"path":"/none"}`).status)
	},
	"mkdir, mkfile, mklink": func(c *cli) {
		c.done(c.ok(200, "POST", "/files/create", `{"paths":[{"type":"directory","path":"/made"}]}`))
		c.done(c.ok(200, "POST", "/files/create", `{"paths":[{"type":"file","path":"/made/f","contents":"`+base64.StdEncoding.EncodeToString([]byte("hello"))+`"}]}`))
		c.done(c.ok(200, "POST", "/files/create", `{"paths":[{"type":"symbolic_link","path":"/made/l","target":{"path":"/made/f"}}]}`))
		b, err := os.ReadFile(c.at("made/l"))
		require.NoError(c.t, err)
		require.Equal(c.t, "hello", string(b))
		var d api.Done
		c.ok(200, "POST", "/files/create", `{"paths":[{"type":"directory","path":"/made"}]}`).read(c.t, &d)
		require.Equal(c.t, "/made", d.Paths[0].Path)
		require.NotEmpty(c.t, d.Paths[0].Error.UserMessage, "what the client prints")
	},
	"delete": func(c *cli) {
		c.file(c.mine.ID+"/gone/f", 1)
		c.done(c.ok(200, "POST", "/files/delete", `{"paths":[{"path":"/gone"}]}`))
		require.NoDirExists(c.t, c.at("gone"))
	},
	"rename": func(c *cli) {
		c.file(c.mine.ID+"/film/old", 1)
		c.done(c.ok(200, "POST", "/files/rename", `{"paths":[{"path":"/film","source":"old","destination":"new"}]}`))
		require.FileExists(c.t, c.at("film/new"))
	},
	"search": func(c *cli) {
		c.fill()
		var l api.Listing
		c.ok(200, "POST", "/files/search", `{"path":"/"}`).read(c.t, &l)
		require.EqualValues(c.t, 4+1+many, l.TotalCount)
		c.ok(200, "POST", "/files/search", `{"path":"/","filters":{"basenames":["*.mov"]},"sort":"size_d","count":10,"skip":0}`).read(c.t, &l)
		require.Len(c.t, l.Items, 1)
		require.Equal(c.t, "/film/a.mov", l.Items[0].Path)
	},
	"space": func(c *cli) {
		var s api.Space
		c.ok(200, "POST", "/space", `{"paths":[{"path":"/"}]}`).read(c.t, &s)
		require.Len(c.t, s.Paths, 1)
		require.Equal(c.t, "/", s.Paths[0].Path)
		require.NotNil(c.t, s.Paths[0].BytesFree)
		require.NotNil(c.t, s.Paths[0].BytesTotal)
		require.GreaterOrEqual(c.t, *s.Paths[0].BytesTotal, *s.Paths[0].BytesFree)
		require.NotNil(c.t, s.Paths[0].PercentFree)
	},
	"upload": func(c *cli) {
		s := c.spec(c.ok(200, "POST", "/files/upload_setup", `{"transfer_requests":[{"transfer_request":{"paths":[{"destination":"/film"}]}}]}`), "send")
		require.Equal(c.t, "/film", s.DestinationRoot)
	},
	"download": func(c *cli) {
		s := c.spec(c.ok(200, "POST", "/files/download_setup", `{"transfer_requests":[{"transfer_request":{"paths":[{"source":"/film/a.mov"}]}}]}`), "receive")
		require.Equal(c.t, []api.TransferPath{{Source: "/film/a.mov"}}, s.Paths)
	},
	"transport, spec": func(c *cli) {
		c.spec(c.ok(200, "POST", "/files/download_setup", `{"transfer_requests":[{"transfer_request":{"paths":[{"source":"/"}]}}]}`), "receive")
	},
	"access_key list": func(c *cli) {
		c.auth = nodeUser.Token()
		var list []api.AccessKey
		r := c.ok(200, "GET", "/access_keys", "")
		r.read(c.t, &list)
		require.NotEmpty(c.t, list)
		require.Equal(c.t, strconv.Itoa(len(list)), r.header.Get("X-Total-Count"))
	},
	"access_key create": func(c *cli) {
		c.auth = nodeUser.Token()
		var k api.AccessKey
		c.ok(201, "POST", "/access_keys", `{"id":"ak_made","storage":{"type":"local","path":"/made"}}`).read(c.t, &k)
		require.Equal(c.t, "ak_made", k.ID)
		require.NotEmpty(c.t, k.Secret, "the client shows it")
		require.Equal(c.t, 409, c.call("POST", "/access_keys", `{"id":"ak_made","storage":{"type":"local","path":"/made"}}`).status)
	},
	"access_key modify self": func(c *cli) {
		c.ok(204, "PUT", "/access_keys/self", `{"configuration":{"transfer":{"policy":"fair"}}}`)
	},
	"access_key do self browse": browseSelf,
	`access_key do self browse --password="Bearer TOKEN"`: func(c *cli) {
		text := apibed.SignerPEM()
		require.NoError(c.t, c.client(nodeUser).UpdateAccessKey(c.t.Context(), c.mine.ID, api.AccessKeyRequest{TokenVerificationKey: &text}))
		token, err := accesskey.SealBearer(accesskey.Bearer{User: "olga", Key: c.mine.ID, Admin: true, Expires: time.Now().Add(time.Hour)}, apibed.Signer())
		require.NoError(c.t, err)
		c.auth, c.key = "Bearer "+token, c.mine.ID
		browseSelf(c)
	},
	"access_key do self upload": func(c *cli) {
		require.Equal(c.t, "folder", c.find("film").Type)
		c.info()
	},
	"access_key do self download": func(c *cli) {
		e := c.find("film/a.mov")
		c.info()
		var again api.Entry
		c.ok(200, "GET", "/files/"+e.ID, "", "Accept-Version", "4.0").read(c.t, &again)
		require.Equal(c.t, e, again)
		require.Equal(c.t, "file", again.Type)
		require.EqualValues(c.t, 10, *again.Size)
	},
	"access_key do self mkdir": func(c *cli) {
		folder := c.find("film")
		require.False(c.t, slices.ContainsFunc(c.items(folder.ID), func(e api.Entry) bool { return e.Name == ".new.asp-lnk" }), "a link would be in the way")
		var e api.Entry
		c.ok(201, "POST", "/files/"+folder.ID+"/files", `{"name":"new","type":"folder"}`).read(c.t, &e)
		require.NotEmpty(c.t, e.ID)
		require.Equal(c.t, "folder", e.Type)
		require.DirExists(c.t, c.at("film/new"))
	},
	"access_key do self delete": func(c *cli) {
		c.file(c.mine.ID+"/film/gone", 1)
		c.ok(204, "DELETE", "/files/"+c.find("film/gone").ID, "", "Accept-Version", "4.0")
		require.NoFileExists(c.t, c.at("film/gone"))
	},
	"access_key do self rename": func(c *cli) {
		c.file(c.mine.ID+"/film/old", 1)
		c.ok(204, "PUT", "/files/"+c.find("film/old").ID, `{"name":"new"}`)
		require.FileExists(c.t, c.at("film/new"))
	},
	"access_key do self permission list": func(c *cli) {
		id := c.find("film").ID
		_, err := c.client(c.mine).CreatePermission(c.t.Context(), api.PermissionRequest{FileID: api.ID(id), AccessType: "user", AccessID: "zoe", AccessLevel: "view"})
		require.NoError(c.t, err)
		r := c.ok(200, "GET", "/permissions?include[]=access_level&include[]=permission_count&file_id="+id+"&inherited=false&per_page=500&page=1", "")
		var list []api.FilePermission
		r.read(c.t, &list)
		require.Len(c.t, list, 1)
		require.Equal(c.t, "1", r.header.Get("X-Total-Count"))
		require.Equal(c.t, "view", list[0].AccessLevel)
	},
	"access_key do self permission create": func(c *cli) {
		var p api.FilePermission
		c.ok(201, "POST", "/permissions", `{"file_id":"`+c.find("film").ID+`","access_type":"user","access_id":"zoe","access_levels":["list","read","write","delete","mkdir","rename","preview"],"tags":{"x":1}}`).read(c.t, &p)
		require.NotEmpty(c.t, p.ID)
		require.Equal(c.t, "edit", p.AccessLevel)
	},
	"access_key set_bearer_key": func(c *cli) {
		c.auth = nodeUser.Token()
		b, err := json.Marshal(map[string]string{"token_verification_key": apibed.SignerPEM()})
		require.NoError(c.t, err)
		c.ok(204, "PUT", "/access_keys/"+c.mine.ID, string(b))
	},
	"transfer list": func(c *cli) {
		id := c.start()
		var seen []string
		path, last := "/ops/transfers", ""
		for { // until there is nothing more, or the token comes again
			r := c.ok(200, "GET", path, "")
			var list []api.Transfer
			r.read(c.t, &list)
			for _, x := range list {
				seen = append(seen, x.ID)
			}
			next, rel, _ := strings.Cut(strings.TrimPrefix(r.header.Get("Link"), "<"), ">; ")
			require.Equal(c.t, `rel="next"`, rel)
			_, token, ok := strings.Cut(next, "iteration_token=")
			require.True(c.t, ok)
			if len(list) == 0 || token == last {
				break
			}
			path, last = next, token
		}
		require.Contains(c.t, seen, id)
		require.GreaterOrEqual(c.t, len(c.calls), 2)
	},
	"transfer cancel": func(c *cli) {
		id := c.start()
		c.ok(204, "CANCEL", "/ops/transfers/"+id, "")
		x, err := c.client(c.mine).Transfer(c.t.Context(), id)
		require.NoError(c.t, err)
		require.Equal(c.t, api.Canceled, x.Status)
	},
	"transfer modify": func(c *cli) {
		id := c.start()
		var x api.Transfer
		c.ok(200, "PUT", "/ops/transfers/"+id, `{"target_rate_kbps":200}`).read(c.t, &x)
		require.EqualValues(c.t, 200, x.Spec.TargetRate)
	},
	"upload --transfer=node": func(c *cli) {
		b, err := json.Marshal(job(c.other, c.bert, map[string]any{
			"paths": []any{map[string]any{"source": "/film/a.mov"}}, "tags": map[string]any{"aspera": map[string]any{"xfer_retry": 150}}, "create_dir": true, "resume_policy": "sparse_csum",
		}))
		require.NoError(c.t, err)
		var x api.Transfer
		c.ok(200, "POST", "/ops/transfers", string(b)).read(c.t, &x)
		deadline := time.Now().Add(time.Minute)
		for x.Status != api.Completed { // the client asks once a second
			require.Contains(c.t, []api.TransferStatus{api.Waiting, api.Running}, x.Status, x.ErrorDesc)
			require.True(c.t, time.Now().Before(deadline))
			time.Sleep(5 * time.Millisecond)
			c.ok(200, "GET", "/ops/transfers/"+x.ID, "").read(c.t, &x)
		}
		require.Equal(c.t, "ready", x.Precalc.Status)
		require.EqualValues(c.t, 10, x.Precalc.BytesExpected)
		require.EqualValues(c.t, 10, x.BytesTransferred)
		require.Zero(c.t, x.ErrorCode)
		require.FileExists(c.t, filepath.Join(c.other.docroot, "bert/in/a.mov"))
	},
}

func browseSelf(c *cli) {
	c.fill()
	id := c.root()
	var e api.Entry
	c.ok(200, "GET", "/files/"+id, "", "Accept-Version", "4.0").read(c.t, &e)
	require.Equal(c.t, "folder", e.Type)
	list := c.items(id)
	types := map[string]string{}
	for _, e := range list {
		types[e.Name] = e.Type
		require.NotEmpty(c.t, e.ID)
		require.Equal(c.t, "edit", e.AccessLevel)
	}
	require.Equal(c.t, map[string]string{"big": "file", "film": "folder", "link": "link", "many": "folder"}, types)
	i := slices.IndexFunc(list, func(e api.Entry) bool { return e.Name == "many" })
	require.Len(c.t, c.items(list[i].ID), many)
}

// TestCommandLineClient makes for each command of the product's client just the calls that it makes, and looks at what it goes by. They are those that docs/compat.md has.
func TestCommandLineClient(t *testing.T) {
	listed := map[string][]string{}
	for _, r := range compatTable(t, "command") {
		listed[strings.ReplaceAll(r[0], "`", "")] = callsOf(r[1])
	}
	a, other := startReal(t, "a", func(cfg *Config) { cfg.SSH = "127.0.0.1:0" }), startReal(t, "other", nil)
	bert := other.key("bert")
	for i, name := range slices.Sorted(maps.Keys(commands)) {
		t.Run(name, func(t *testing.T) {
			require.Contains(t, listed, name, "docs/compat.md has no such command")
			c := &cli{realNode: a, t: t, mine: a.key(fmt.Sprint("key", i)), other: other, bert: bert}
			c.auth = c.mine.Token()
			c.file(c.mine.ID+"/film/a.mov", 10)
			c.file(c.mine.ID+"/big", 1<<20)
			require.NoError(t, os.Symlink("film/a.mov", c.at("link")))
			commands[name](c)
			made := slices.Clone(c.calls)
			slices.Sort(made)
			want := slices.Clone(listed[name])
			slices.Sort(want)
			require.Equal(t, want, slices.Compact(made))
		})
	}
	for name := range listed {
		require.Contains(t, commands, name, "docs/compat.md has a command that no test makes")
	}
}
