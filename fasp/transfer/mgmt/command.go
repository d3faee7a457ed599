package mgmt

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// CommandKind says what a manager wants.
type CommandKind uint8

// The kinds of commands.
const (
	CommandNop    CommandKind = iota // nothing
	CommandRate                      // other rates from now on: Command.Rates
	CommandCancel                    // stop, and keep what has arrived
	CommandQuery                     // an answer: Port.Answer
	CommandStart                     // one more path, of a program that waits for them: Command.Source
	CommandDone                      // no further path follows
)

var kindNames = [...]string{
	CommandNop: "NOP", CommandRate: "RATE", CommandCancel: "CANCEL", CommandQuery: "QUERY", CommandStart: "START", CommandDone: "DONE",
}

// String returns the Frame.Type of the command.
func (k CommandKind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "kind " + strconv.Itoa(int(k))
}

// Command is what a manager asks for.
type Command struct {
	Kind  CommandKind
	ID    string // CommandId, by which the manager knows the answer; may be empty
	Rates Change // of CommandRate
	Query string // of CommandQuery, what is asked; may be empty
	// Of CommandStart; Destination may be empty.
	Source, Destination string
}

// Change says which rates are to be others. What it does not set stays.
type Change struct {
	SetTarget, SetMin, SetPolicy bool // which of these were named
	Target, Min                  fasp.Rate
	Policy                       fasp.Policy
	Priority                     int // 1 makes high of policy fair, 2 fair of high; 0 was not named
}

// Apply returns r with the change. The error, which matches ErrCommand, is for rates that no session takes: policy fixed without a target.
func (c Change) Apply(r fasp.Rates) (fasp.Rates, error) {
	if c.SetTarget {
		r.Target = c.Target
	}
	if c.SetMin {
		r.Min = c.Min
	}
	if c.SetPolicy {
		r.Policy = c.Policy
	}
	switch {
	case c.Priority == 1 && r.Policy == fasp.Fair:
		r.Policy = fasp.High
	case c.Priority == 2 && r.Policy == fasp.High:
		r.Policy = fasp.Fair
	}
	if r.Policy == fasp.Fixed && r.Target == 0 {
		return r, fmt.Errorf("%w: policy fixed needs a rate", ErrCommand)
	}
	return r, nil
}

// ParseCommand reads a frame of a manager. The error matches ErrCommand: a type that is no command, RATE without anything to change or with a value that is none, START without a source. Fields that are not known are ignored.
func ParseCommand(f Frame) (Command, error) {
	c := Command{}
	c.ID, _ = f.Get("CommandId")
	for k, name := range kindNames {
		if f.Type != name {
			continue
		}
		c.Kind = CommandKind(k)
		var err error
		switch c.Kind {
		case CommandRate:
			c.Rates, err = parseChange(f)
		case CommandQuery:
			c.Query, _ = f.Get("Query")
		case CommandStart:
			c.Source, _ = f.Get("Source")
			c.Destination, _ = f.Get("Destination")
			if c.Source == "" {
				err = fmt.Errorf("%w: START without a source", ErrCommand)
			}
		}
		if err != nil {
			return Command{}, err
		}
		return c, nil
	}
	return Command{}, fmt.Errorf("%w: %.100q", ErrCommand, f.Type)
}

func parseChange(f Frame) (Change, error) {
	var c Change
	var err error
	rate := func(name string) (fasp.Rate, bool) {
		s, ok := f.Get(name)
		if !ok || err != nil {
			return 0, false
		}
		const limit = int64(transfer.MaxRate / fasp.Kbps)
		n, bad := strconv.ParseInt(s, 10, 64)
		if bad != nil || n < 0 || n > limit {
			err = fmt.Errorf("%w: %s %.100q: want a whole number of kbit/s", ErrCommand, name, s)
			return 0, false
		}
		return fasp.Rate(n) * fasp.Kbps, true
	}
	c.Target, c.SetTarget = rate("Rate")
	c.Min, c.SetMin = rate("MinRate")
	if err != nil {
		return Change{}, err
	}
	if s, ok := f.Get("Adaptive"); ok {
		if c.Policy, ok = parsePolicy(s); !ok {
			return Change{}, fmt.Errorf("%w: Adaptive %.100q: want Adaptive, Trickle or Fixed, or fair, high or low", ErrCommand, s)
		}
		c.SetPolicy = true
	}
	if s, ok := f.Get("Priority"); ok {
		switch s {
		case "1", "2":
			c.Priority = int(s[0] - '0')
		default:
			return Change{}, fmt.Errorf("%w: Priority %.100q: want 1 for high or 2 for fair", ErrCommand, s)
		}
	}
	if c == (Change{}) {
		return Change{}, fmt.Errorf("%w: RATE changes nothing", ErrCommand)
	}
	return c, nil
}

// policyWords returns a policy as the fields Adaptive and Priority have it.
func policyWords(p fasp.Policy) (adaptive string, priority int64) {
	switch p {
	case fasp.Fixed:
		return "Fixed", 2
	case fasp.Low:
		return "Trickle", 2
	case fasp.High:
		return "Adaptive", 1
	}
	return "Adaptive", 2
}

// parsePolicy reads those words, and those of command lines.
func parsePolicy(s string) (fasp.Policy, bool) {
	switch strings.ToLower(s) {
	case "adaptive":
		return fasp.Fair, true
	case "trickle":
		return fasp.Low, true
	}
	p, err := fasp.ParsePolicy(s)
	return p, err == nil
}
