package twnode

import (
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/tradewind-io/tradewind/cluster/node"
	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/internal/cli"
	"github.com/tradewind-io/tradewind/objstore"
)

// settingChecks say what is wrong with the text of a setting, by the name of its flag, beyond what the flag takes. The file system is not looked at: the file may be for another
// machine.
var settingChecks = map[string]func(text string) error{
	"docroot":       checkDocroot,
	"listen":        checkAddress,
	"max-rate":      func(text string) error { _, err := fasp.ParseRate(text); return err },
	"min-free":      checkSize,
	"max-sessions":  checkNumber(checkSessions),
	"part-size":     checkSize,
	"part-memory":   checkSize,
	"datagram-size": checkNumber(checkDatagram),
	"log-level":     func(text string) error { _, err := cli.ParseLevel(text); return err },
	"log-size":      checkLogSize,
	"log-count":     checkNumber(checkLogCount),
	"drain-timeout": checkDrain,
	"history-days":  checkNumber(checkHistory),
	"api":           checkService,
	"ssh":           checkService,
	"wss":           checkService,
	"debug":         checkService,
}

func checkDrain(text string) error {
	d, err := time.ParseDuration(text)
	if err == nil && d < 0 {
		err = fmt.Errorf("%s: want no less than 0, which is not at all", text)
	}
	return err
}

func checkSize(text string) error {
	_, err := parseSize(text)
	return err
}

func checkNumber(check func(int) error) func(string) error {
	return func(text string) error {
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("%q: want a whole number", text)
		}
		return check(n)
	}
}

func checkSessions(n int) error {
	if n < 1 {
		return fmt.Errorf("%d: want at least 1", n)
	}
	return nil
}

func checkHistory(n int) error {
	if n < 0 || n > 36500 {
		return fmt.Errorf("%d: want 1 to 36500 days, or 0 for ever", n)
	}
	return nil
}

func checkDatagram(n int) error {
	if n != 0 && (n < minPayload || n > maxPayload) {
		return fmt.Errorf("%d: want %d to %d bytes, or 0", n, minPayload, maxPayload)
	}
	return nil
}

func checkDocroot(text string) error {
	if !objstore.IsURI(text) {
		return nil
	}
	_, err := objstore.ParseURI(text)
	return err
}

func checkAddress(text string) error {
	_, port, err := net.SplitHostPort(text)
	if err == nil {
		_, err = net.LookupPort("udp", port)
	}
	if err != nil {
		return fmt.Errorf("%q: want an address such as :%d or 192.0.2.1:%d", text, node.DefaultPort, node.DefaultPort)
	}
	return nil
}

// checkService looks at where a service is offered; none is no error.
func checkService(text string) error {
	if text == "" {
		return nil
	}
	if err := checkAddress(tcpAddress(text)); err != nil {
		return fmt.Errorf("%q: want a port or an address such as 192.0.2.1:9092", text)
	}
	return nil
}
