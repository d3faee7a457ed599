package twnode

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // small machines have no time zones

	"go.yaml.in/yaml/v3"

	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/vlink"
)

// defaultLink is what the file calls the vlink of keys that name none.
const defaultLink = "default"

// maxLinksFile bounds the file of vlinks, bytes.
const maxLinksFile = 1 << 20

// readLinks reads the file of vlinks; errors name the file, and the line where there is one.
func readLinks(path string) ([]vlink.Link, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("vlinks: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxLinksFile+1))
	if err != nil {
		return nil, fmt.Errorf("vlinks: %w", err)
	}
	if len(data) > maxLinksFile {
		return nil, fmt.Errorf("vlinks: %s is larger than %d bytes", path, maxLinksFile)
	}
	links, err := parseLinks(data)
	if err != nil {
		return nil, fmt.Errorf("vlinks: %s: %w", path, err)
	}
	return links, nil
}

// linksFile is the file's form; vlinksHelp describes it.
type linksFile struct {
	Timezone zoneField   `yaml:"timezone"`
	VLinks   *[]linkYAML `yaml:"vlinks"`
}

type linkYAML struct {
	Name     nameField    `yaml:"name"`
	Out      rateField    `yaml:"out"`
	In       rateField    `yaml:"in"`
	Weight   weightField  `yaml:"weight"`
	Schedule []windowYAML `yaml:"schedule"`
}

type windowYAML struct {
	Days daysField  `yaml:"days"`
	From clockField `yaml:"from"`
	To   clockField `yaml:"to"`
	Out  rateField  `yaml:"out"`
	In   rateField  `yaml:"in"`
}

// parseLinks reads the text of a file of vlinks.
func parseLinks(data []byte) ([]vlink.Link, error) {
	var f linksFile
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	if err := d.Decode(&f); err != nil && !errors.Is(err, io.EOF) {
		return nil, readable(err)
	}
	if err := d.Decode(new(linksFile)); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is a second document, behind a line of ---: want one")
	}
	if f.VLinks == nil {
		return nil, errors.New("there is no list of vlinks; where none are wanted, write vlinks: []") // an empty file may be one that is being written
	}
	var links []vlink.Link
	var wrongs []string
	lines := map[string]int{}
	for i, y := range *f.VLinks {
		first := lines[y.Name.name]
		switch {
		case y.Name.line == 0:
			wrongs = append(wrongs, fmt.Sprintf("vlink %d has no name", i+1))
		case first != 0:
			wrongs = append(wrongs, fmt.Sprintf("line %d: vlink %q is in line %d already", y.Name.line, y.Name.name, first))
		default:
			lines[y.Name.name] = y.Name.line
		}
		l, w := y.link(f.Timezone.zone)
		links, wrongs = append(links, l), append(wrongs, w...)
	}
	if len(wrongs) > 0 {
		return nil, errors.New(strings.Join(wrongs, "; "))
	}
	return links, nil
}

// link returns the vlink that is meant, and what is wrong with it.
func (y *linkYAML) link(zone *time.Location) (l vlink.Link, wrongs []string) {
	l = vlink.Link{Name: y.Name.name, Caps: vlink.Caps{Out: y.Out.rate, In: y.In.rate}, Weight: y.Weight.weight, Zone: zone}
	if l.Name == defaultLink {
		l.Name = ""
	}
	for _, w := range y.Schedule {
		win := vlink.Window{Days: w.Days.days, From: w.From.clock, To: w.To.clock, Caps: l.Caps} // what a window leaves out stays
		if w.Out.set {
			win.Caps.Out = w.Out.rate
		}
		if w.In.set {
			win.Caps.In = w.In.rate
		}
		switch {
		case !w.From.set || !w.To.set:
			wrongs = append(wrongs, fmt.Sprintf("vlink %q: a window needs from and to", y.Name.name))
			continue
		case !w.Out.set && !w.In.set:
			wrongs = append(wrongs, fmt.Sprintf("line %d: the window changes nothing: give out, in or both", w.From.line))
			continue
		}
		if err := win.Check(); err != nil {
			wrongs = append(wrongs, fmt.Sprintf("line %d: %v", w.From.line, err))
			continue
		}
		l.Schedule = append(l.Schedule, win)
	}
	if err := l.Check(); err != nil && len(wrongs) == 0 {
		wrongs = append(wrongs, fmt.Sprintf("line %d: %v", y.Name.line, err))
	}
	return l, wrongs
}

var unknownField = regexp.MustCompile(`field (\S*) not found in type \S+`)

// readable takes the names of our types out of an error of the YAML library.
func readable(err error) error {
	var t *yaml.TypeError
	if errors.As(err, &t) {
		list := slices.Clone(t.Errors)
		for i := range list {
			list[i] = unknownField.ReplaceAllString(list[i], "unknown field $1")
			list[i] = strings.NewReplacer("into []twnode.linkYAML", "where a list of vlinks is due", "into twnode.linkYAML", "where a vlink is due",
				"into []twnode.windowYAML", "where a list of windows is due", "into twnode.windowYAML", "where a window is due",
				"into twnode.linksFile", "where timezone and vlinks are due").Replace(list[i])
		}
		return errors.New(strings.Join(list, "; "))
	}
	return err
}

// scalar returns the text of a value that is neither list nor map.
func scalar(n *yaml.Node, what string) (string, error) {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		return "", wrong(n, "want "+what)
	}
	return n.Value, nil
}

// wrong is an error of this type so that the decoder goes on and finds the others.
func wrong(n *yaml.Node, text string) error {
	return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: %s", n.Line, text)}}
}

func atLine(n *yaml.Node, err error) error {
	if err != nil {
		return wrong(n, err.Error())
	}
	return nil
}

type rateField struct {
	rate fasp.Rate
	set  bool
}

func (r *rateField) UnmarshalYAML(n *yaml.Node) error {
	s, err := scalar(n, "a rate such as 300M, or 0 for no cap")
	if err != nil {
		return err
	}
	r.set = true
	r.rate, err = fasp.ParseRate(s)
	return atLine(n, err)
}

type nameField struct {
	name string
	line int
}

func (f *nameField) UnmarshalYAML(n *yaml.Node) (err error) {
	f.line = n.Line
	if f.name, err = scalar(n, "the name of a vlink"); err != nil {
		return err
	}
	if f.name == "" {
		return wrong(n, "the name is empty; that of keys without a vlink is "+defaultLink)
	}
	return atLine(n, vlink.CheckName(f.name))
}

type weightField struct{ weight float64 }

func (f *weightField) UnmarshalYAML(n *yaml.Node) error {
	const what = "a weight above 0, such as 2"
	s, err := scalar(n, what)
	if err != nil {
		return err
	}
	if f.weight, err = strconv.ParseFloat(s, 64); err != nil || !(f.weight > 0) || f.weight > 1e6 {
		return wrong(n, fmt.Sprintf("weight %q: want %s", s, what))
	}
	return nil
}

type daysField struct{ days vlink.Days }

func (f *daysField) UnmarshalYAML(n *yaml.Node) error {
	s, err := scalar(n, "days such as mon-fri or sat,sun")
	if err != nil {
		return err
	}
	f.days, err = vlink.ParseDays(s)
	return atLine(n, err)
}

type clockField struct {
	clock time.Duration
	set   bool
	line  int
}

func (f *clockField) UnmarshalYAML(n *yaml.Node) error {
	s, err := scalar(n, "a time of day such as 08:30")
	if err != nil {
		return err
	}
	h, m, ok := strings.Cut(s, ":")
	hours, err1 := strconv.ParseUint(h, 10, 8)
	minutes, err2 := strconv.ParseUint(m, 10, 8)
	if !ok || err1 != nil || err2 != nil || len(h) > 2 || len(m) != 2 || hours > 24 || minutes > 59 || hours == 24 && minutes > 0 {
		return wrong(n, fmt.Sprintf("time %q: want a time of day such as 08:30, or 24:00", s))
	}
	f.clock, f.set, f.line = time.Duration(hours)*time.Hour+time.Duration(minutes)*time.Minute, true, n.Line
	return nil
}

type zoneField struct{ zone *time.Location }

func (f *zoneField) UnmarshalYAML(n *yaml.Node) error {
	s, err := scalar(n, "a time zone such as Europe/Berlin")
	if err != nil {
		return err
	}
	f.zone, err = time.LoadLocation(s)
	return atLine(n, err)
}
