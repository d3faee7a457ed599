package twnode

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/internal/cli"
)

func TestParseConfig(t *testing.T) {
	flags := serveCommand(cli.Process{}).Flags()
	v, err := parseConfig([]byte("docroot: /srv\nmax_sessions: 7\nlog_json: true\ndrain_timeout: 5s # short\nstate: \"/st\"\n"), flags)
	require.NoError(t, err)
	require.Equal(t, map[string]any{"docroot": "/srv", "max_sessions": "7", "log_json": "true", "drain_timeout": "5s", "state": "/st"}, v)
	for text, why := range map[string]string{
		"docroot: /x\n\nwrong: 1\n":           `line 3: there is no setting "wrong"`,
		"max-sessions: 1\n":                   `line 1: there is no setting "max-sessions"`,
		"config: x\n":                         `line 1: there is no setting "config"`,
		"docroot: /x\ndocroot: /y\n":          "line 2: docroot is set in line 1 already",
		"max_sessions: many\n":                `line 1: max_sessions: "many": want a whole number`,
		"log_json: perhaps\n":                 "want a true or false",
		"drain_timeout: soon\n":               "want a duration",
		"docroot: [a, b]\n":                   "line 1: docroot: want one value",
		"- docroot\n":                         "line 1: want settings",
		"docroot: /x\n  state: y\n":           "line 2",
		"docroot: /x\n---\ndocroot: /y\n":     "second document",
		"docroot: \"/x\nstate: unterminated:": "line",
	} {
		_, err := parseConfig([]byte(text), flags)
		require.ErrorContains(t, err, why, text)
	}
	for _, empty := range []string{"", "# nothing\n", "null\n"} {
		v, err := parseConfig([]byte(empty), flags)
		require.NoError(t, err)
		require.Empty(t, v)
	}
}

// TestSchema: the published schema is that of the program. With UPDATE=1 it is written anew.
func TestSchema(t *testing.T) {
	b, err := configSchema(serveCommand(cli.Process{}).Flags())
	require.NoError(t, err)
	const path = "../../../docs/twnode.schema.json"
	if os.Getenv("UPDATE") != "" {
		require.NoError(t, os.WriteFile(path, b, 0o644))
	}
	was, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(was), string(b), "run UPDATE=1 go test ./internal/cli/twnode -run Schema")
}

const sampleConf = `<?xml version="1.0" encoding="UTF-8"?>
<CONF version="2">
  <server>
    <https_port>9443</https_port><wss_enabled>true</wss_enabled><wss_port>9494</wss_port>
    <workers>20</workers>
  </server>
  <trunks>
    <trunk><id>1</id><name>in</name><on>true</on><capacity><schedule>100000</schedule></capacity></trunk>
    <trunk><id>2</id><on>true</on><capacity>50000</capacity><ignore_direction>true</ignore_direction></trunk>
    <trunk><id>3</id><on>false</on><capacity>1</capacity></trunk>
  </trunks>
  <logging><level>dbg1</level></logging>
  <default>
    <file_system>
      <access><paths><path>
        <absolute>file:////srv/data</absolute>
        <read_allowed>true</read_allowed>
      </path></paths></access>
    </file_system>
    <transfer>
      <protocol_options><bind_udp_port>33002</bind_udp_port><datagram_size>1500</datagram_size></protocol_options>
    </transfer>
  </default>
</CONF>
`

func TestImport(t *testing.T) {
	c, err := readAsperaConf(strings.NewReader(sampleConf))
	require.NoError(t, err)
	text, links, notes := c.convert("links.yaml")
	require.Equal(t, []string{
		"line 5: server/workers has no effect: there is nothing like it here",
		"line 9: trunks/trunk[2]/ignore_direction has no effect: a vlink caps each direction by itself",
		"line 17: default/file_system/access/paths/path/read_allowed has no effect: rights are given to keys and accounts: twnode keys set --rights",
	}, notes)
	v, err := parseConfig([]byte(text), serveCommand(cli.Process{}).Flags())
	require.NoError(t, err, text)
	require.Equal(t, map[string]any{
		"docroot": "/srv/data", "listen": ":33002", "api": ":9443", "wss": ":9494", "datagram_size": "1472", "log_level": "debug", "vlinks": "links.yaml",
	}, v)
	list, err := parseLinks([]byte(links))
	require.NoError(t, err, links)
	require.Len(t, list, 2)
	require.Equal(t, "in", list[0].Name)
	require.EqualValues(t, 100e6, list[0].Caps.In)
	require.Equal(t, "trunk2", list[1].Name)

	_, _, notes = c.convert("")
	require.Contains(t, notes[len(notes)-1], "--vlinks")
	for text, why := range map[string]string{
		"":                            "nothing in it",
		"<x/>":                        "no aspera.conf",
		"<CONF>":                      "",
		"<CONF></CONF>":               "nothing in it",
		strings.Repeat("<CONF>", 100): "nested deeper",
		"<CONF><a>" + strings.Repeat(" ", maxAsperaConf) + "</a></CONF>": "larger than",
	} {
		_, err := readAsperaConf(strings.NewReader(text))
		require.ErrorContains(t, err, why, "%.40s", text)
	}
	c, err = readAsperaConf(strings.NewReader("<CONF><default><file_system><access><paths><path><absolute>s3://key:hunter2@s3/b</absolute></path></paths></access></file_system></default></CONF>"))
	require.NoError(t, err)
	text, _, notes = c.convert("")
	require.NotContains(t, text, "hunter2")
	require.Len(t, notes, 1)
	require.NotContains(t, notes[0], "hunter2")
}

func TestImportCommand(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "aspera.conf")
	require.NoError(t, os.WriteFile(file, []byte(sampleConf), 0o644))
	var out, errs strings.Builder
	p := cli.Process{Args: []string{"config", "import", file, "--vlinks", filepath.Join(dir, "links.yaml")}, Stdout: &out, Stderr: &errs}
	require.Zero(t, Run(t.Context(), p))
	require.Contains(t, errs.String(), "server/workers has no effect")
	settings := filepath.Join(dir, "twnode.yaml")
	require.NoError(t, os.WriteFile(settings, []byte(out.String()), 0o644))
	p.Args = []string{"config", "check", settings}
	require.Zero(t, Run(t.Context(), p), errs.String())
	_, err := readLinks(filepath.Join(dir, "links.yaml"))
	require.NoError(t, err)
}

func FuzzParseConfig(f *testing.F) {
	flags := serveCommand(cli.Process{}).Flags()
	f.Add([]byte("docroot: /x\nmax_sessions: 1\n"))
	f.Add([]byte("a: &x [*x]\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := parseConfig(b, flags)
		if err != nil {
			require.NotEmpty(t, err.Error())
		}
		for name := range v {
			require.NotNil(t, settingFlag(flags, name))
		}
	})
}

func FuzzAsperaConf(f *testing.F) {
	f.Add(sampleConf)
	f.Fuzz(func(t *testing.T, s string) {
		c, err := readAsperaConf(strings.NewReader(s))
		if err != nil {
			return
		}
		text, _, _ := c.convert("links.yaml")
		_, err = parseConfig([]byte(text), serveCommand(cli.Process{}).Flags())
		require.NoError(t, err, text)
	})
}
