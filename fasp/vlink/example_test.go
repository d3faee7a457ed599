package vlink_test

import (
	"fmt"
	"time"

	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/vlink"
)

// A vlink may use more of the line at night, and who joins it gets a share. A program also calls Links.Run, which measures what sessions use.
func Example() {
	office := vlink.Link{
		Name: "office", Caps: vlink.Caps{Out: 100 * fasp.Mbps}, Zone: time.UTC,
		Schedule: []vlink.Window{{From: 20 * time.Hour, To: 6 * time.Hour, Caps: vlink.Caps{Out: 800 * fasp.Mbps}}},
	}
	fmt.Println("at midnight:", office.CapsAt(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)).Out)

	office.Schedule = nil
	links, err := vlink.New(vlink.Config{Links: []vlink.Link{office}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 2 {
		session, peer := fasp.Pipe()
		defer peer.Close(fasp.CodeDone, "")
		s, err := links.Join(session, vlink.Member{Link: "office"})
		if err != nil {
			fmt.Println(err)
			return
		}
		defer s.Leave()
		s.SetRates(fasp.Rates{Policy: fasp.Fair})
		fmt.Println(s.Share().Out)
	}
	// Output:
	// at midnight: 800 Mbit/s
	// 100 Mbit/s
	// 50 Mbit/s
}
