package udp_test

import (
	"fmt"
	"log"
	"net"

	"github.com/tradewind-io/tradewind/fasp/internal/udp"
)

// One train of three datagrams, of which the last is shorter.
func Example() {
	open := func() *udp.Socket {
		pc, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			log.Fatal(err)
		}
		s, err := udp.New(pc, udp.Options{})
		if err != nil {
			log.Fatal(err)
		}
		return s
	}
	from, to := open(), open()
	defer from.Close()
	defer to.Close()

	err := from.WriteTrains([]udp.Train{{Addr: to.LocalAddr(), Buf: []byte("datagrams move in trains"), Seg: 10}})
	if err != nil {
		log.Fatal(err)
	}
	b := to.NewBatch()
	for n := 0; n < 3; {
		if err := to.ReadBatch(b); err != nil {
			log.Fatal(err)
		}
		for i := range b.Trains {
			t := &b.Trains[i]
			for k := range t.Len() {
				fmt.Printf("%q\n", t.At(k))
			}
			n += t.Len()
		}
	}
	// Output:
	// "datagrams "
	// "move in tr"
	// "ains"
}
