package twnode

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tradewind-io/tradewind/cluster/node/wsd"
)

// asperaElement is an element of an aspera.conf that holds a value.
type asperaElement struct {
	path  string // below CONF, such as default/server/https_port; with the number of the element where there are several: trunks/trunk[2]/id
	value string
	line  int
}

// asperaConf is a configuration of the product, flat.
type asperaConf struct{ elements []asperaElement }

// Bounds of what is read.
const (
	maxAsperaConf  = 4 << 20 // bytes
	maxAsperaDepth = 32
)

// readAsperaConf reads the XML.
func readAsperaConf(r io.Reader) (*asperaConf, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxAsperaConf+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxAsperaConf {
		return nil, fmt.Errorf("the file is larger than %d bytes", maxAsperaConf)
	}
	d := xml.NewDecoder(strings.NewReader(string(data)))
	conf := new(asperaConf)
	type open struct {
		path     string
		text     strings.Builder
		line     int
		children map[string]int
	}
	var stack []*open
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		switch t := token.(type) {
		case xml.StartElement:
			line, _ := d.InputPos()
			if len(stack) == 0 {
				if t.Name.Local != "CONF" {
					return nil, fmt.Errorf("line %d: the first element is %s, not CONF: this is no aspera.conf", line, t.Name.Local)
				}
				stack = append(stack, &open{children: map[string]int{}, line: line})
				continue
			}
			if len(stack) > maxAsperaDepth {
				return nil, fmt.Errorf("line %d: nested deeper than %d", line, maxAsperaDepth)
			}
			up := stack[len(stack)-1]
			up.children[t.Name.Local]++
			name := t.Name.Local
			if n := up.children[name]; n > 1 {
				name = fmt.Sprintf("%s[%d]", name, n)
			}
			if up.path != "" {
				name = up.path + "/" + name
			}
			stack = append(stack, &open{path: name, children: map[string]int{}, line: line})
		case xml.CharData:
			if len(stack) > 0 {
				stack[len(stack)-1].text.Write(t)
			}
		case xml.EndElement:
			e := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			if text := strings.TrimSpace(e.text.String()); len(e.children) == 0 && e.path != "" {
				conf.elements = append(conf.elements, asperaElement{e.path, text, e.line})
			}
		}
	}
	if len(conf.elements) == 0 {
		return nil, errors.New("there is nothing in it")
	}
	return conf, nil
}

// asperaSettings are elements with a counterpart: the setting, and how the value becomes one. An error is told, and the element has no effect.
var asperaSettings = map[string]struct {
	setting string
	convert func(string) (string, error)
}{
	"default/file_system/access/paths/path/absolute":  {"docroot", docrootSetting},
	"default/transfer/protocol_options/bind_udp_port": {"udp_port", portSetting},
	"default/transfer/protocol_options/bind_ip_address": {"udp_address", func(s string) (string, error) {
		return s, nil
	}},
	"default/transfer/protocol_options/datagram_size": {"datagram_size", func(s string) (string, error) {
		n, err := strconv.Atoi(s)
		if err != nil || n != 0 && n < minPayload+28 {
			return "", errors.New("want bytes of an IP datagram")
		}
		return strconv.Itoa(max(n-28, 0)), nil // ours is that of UDP
	}},
	"server/https_port":   {"https_port", portSetting},
	"server/enable_https": {"enable_https", boolSetting},
	"server/wss_port":     {"wss_port", portSetting},
	"server/wss_enabled":  {"wss_enabled", boolSetting},
	"server/listen":       {"listen_address", func(s string) (string, error) { return s, nil }},
	"logging/log_size": {"log_size", func(s string) (string, error) {
		if n, err := strconv.ParseUint(s, 10, 20); err != nil || n == 0 {
			return "", errors.New("want megabytes")
		}
		return s + "M", nil
	}},
	"logging/log_count": {"log_count", func(s string) (string, error) {
		if n, err := strconv.ParseUint(s, 10, 20); err != nil || n == 0 {
			return "", errors.New("want a number")
		}
		return s, nil
	}},
	"logging/level": {"log_level", func(s string) (string, error) {
		if s == "log" || s == "" {
			return "info", nil
		}
		if strings.HasPrefix(s, "dbg") {
			return "debug", nil
		}
		return "", errors.New("want log, dbg1 or dbg2")
	}},
}

// asperaElsewhere are elements whose counterpart is no setting, by how their path ends.
var asperaElsewhere = []struct{ end, where string }{
	{"/trunk_id", "a vlink is given to keys and accounts: twnode keys set --vlink, twnode accounts set --vlink"},
	{"/target_rate/cap", "a cap is given to keys and accounts: twnode keys set --rate-cap; --max-rate is that of the node"},
	{"/target_rate/default", "clients choose, and keys have transfer.target_rate_kbps in their configuration"},
	{"/token/encryption_key", "the node makes and keeps the key of its tokens"},
	{"/read_allowed", "rights are given to keys and accounts: twnode keys set --rights"},
	{"/write_allowed", "rights are given to keys and accounts: twnode keys set --rights"},
	{"/dir_allowed", "rights are given to keys and accounts: twnode keys set --rights"},
	{"/delete_allowed", "rights are given to keys and accounts: twnode keys set --rights"},
	{"logging/directory", "--log-file is a file; without it the log is on standard error"},
	{"server/ssh_port", "SSH is served where --ssh says"},
}

// elsewhere says what has no setting.
func elsewhere(path string) string {
	for _, e := range asperaElsewhere {
		if strings.HasSuffix(path, e.end) {
			return e.where
		}
	}
	if strings.HasPrefix(path, "aaa/") {
		return "users are accounts here: twnode accounts create"
	}
	return "there is nothing like it here"
}

func portSetting(s string) (string, error) {
	if n, err := strconv.ParseUint(s, 10, 16); err != nil || n == 0 {
		return "", errors.New("want a port")
	}
	return s, nil
}

func boolSetting(s string) (string, error) {
	b, err := strconv.ParseBool(s)
	if err != nil {
		return "", errors.New("want true or false")
	}
	return strconv.FormatBool(b), nil
}

// docrootSetting reads a folder, or file:// with one.
func docrootSetting(s string) (string, error) {
	if s == "" {
		return "", errors.New("no docroot: here a node always has one")
	}
	if rest, ok := strings.CutPrefix(s, "file://"); ok {
		return "/" + strings.TrimLeft(rest, "/"), nil
	}
	if scheme, _, ok := strings.Cut(s, "://"); ok {
		return "", fmt.Errorf("a place of scheme %s is written otherwise here, and its secret does not stand in it; see twnode serve --help", scheme)
	}
	return s, nil
}

// trunk is a vlink of the product.
type trunk struct {
	id, name, capacity string
	on                 bool
	line               int
}

// convert returns the settings in YAML, a file of vlinks if there are trunks, and a note for each element without a counterpart. links is the name of the file of vlinks.
func (c *asperaConf) convert(links string) (text, vlinks string, notes []string) {
	values := map[string]string{}
	trunks := map[string]*trunk{}
	note := func(e asperaElement, why string) {
		notes = append(notes, fmt.Sprintf("line %d: %s has no effect: %s", e.line, e.path, why))
	}
	for _, e := range c.elements {
		if name, ok := strings.CutPrefix(e.path, "trunks/"); ok {
			takeTrunk(trunks, e, name, note)
			continue
		}
		s, ok := asperaSettings[e.path]
		if !ok {
			note(e, elsewhere(e.path))
			continue
		}
		v, err := s.convert(e.value)
		if err != nil {
			note(e, err.Error()) // without the value, which may hold a secret
			continue
		}
		values[s.setting] = v
	}
	take := func(name, def string) string {
		v, ok := values[name]
		delete(values, name)
		if !ok {
			return def
		}
		return v
	}
	address, port := take("udp_address", ""), take("udp_port", "33001")
	values["listen"] = address + ":" + port
	apiHost, apiPort := take("listen_address", ""), take("https_port", "9092")
	if take("enable_https", "true") == "true" {
		values["api"] = apiHost + ":" + apiPort
	}
	wssPort := take("wss_port", strconv.Itoa(wsd.DefaultPort))
	if take("wss_enabled", "false") == "true" {
		values["wss"] = apiHost + ":" + wssPort
	}
	if list := vlinkList(trunks); len(list) > 0 {
		switch b, err := yaml.Marshal(map[string]any{"vlinks": list}); {
		case err != nil:
			notes = append(notes, "trunks: "+err.Error())
		case links == "":
			notes = append(notes, "its trunks are left out: give --vlinks FILE to have them written")
		default:
			vlinks, values["vlinks"] = string(b), links
		}
	}
	var out strings.Builder
	if values["docroot"] == "" {
		out.WriteString("# docroot: is required\n")
	}
	out.WriteString("# state: is required, a folder for identity and keys outside of the docroot\n")
	for _, name := range slices.Sorted(maps.Keys(values)) {
		b, err := yaml.Marshal(map[string]string{name: values[name]})
		if err != nil {
			notes = append(notes, name+": "+err.Error())
			continue
		}
		out.Write(b)
	}
	return out.String(), vlinks, notes
}

func takeTrunk(trunks map[string]*trunk, e asperaElement, name string, note func(asperaElement, string)) {
	which, field, ok := strings.Cut(name, "/")
	if !ok {
		note(e, "there is nothing like it here")
		return
	}
	t := trunks[which]
	if t == nil {
		t = &trunk{line: e.line}
		trunks[which] = t
	}
	switch field {
	case "id":
		t.id = e.value
	case "name":
		t.name = e.value
	case "on":
		t.on = e.value == "true"
	case "capacity", "capacity/schedule":
		if _, err := strconv.ParseUint(e.value, 10, 40); err != nil {
			note(e, "want a rate in kbit/s; schedules by time are written otherwise here, see twnode vlinks --help")
			return
		}
		t.capacity = e.value
	case "ignore_direction":
		if e.value == "true" {
			note(e, "a vlink caps each direction by itself")
		}
	default:
		note(e, "there is nothing like it here")
	}
}

// vlinkList makes vlinks of the trunks that are on.
func vlinkList(trunks map[string]*trunk) (list []map[string]string) {
	all := slices.SortedFunc(maps.Values(trunks), func(a, b *trunk) int { return a.line - b.line })
	for _, t := range all {
		if !t.on || t.capacity == "" {
			continue
		}
		name := t.name
		if name == "" {
			name = "trunk" + t.id
		}
		list = append(list, map[string]string{"name": name, "out": t.capacity + "K", "in": t.capacity + "K"})
	}
	return list
}
