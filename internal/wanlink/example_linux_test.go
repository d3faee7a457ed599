package wanlink_test

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/tradewind-io/tradewind/internal/simnet"
	"github.com/tradewind-io/tradewind/internal/wanlink"
)

// A relay on loopback puts 20 ms between a client and a server that know nothing of it.
func ExampleRelay() {
	server, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()

	oneWay := simnet.Impair{Rate: 100e6, Delay: 10 * time.Millisecond}
	relay, err := wanlink.NewRelay(wanlink.Config{
		Target:   server.LocalAddr().(*net.UDPAddr).AddrPort(),
		Forward:  oneWay,
		Backward: oneWay,
		Seed:     1,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ended := make(chan error)
	go func() { ended <- relay.Run(context.Background()) }()

	client, err := net.Dial("udp4", relay.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	begin := time.Now()
	client.Write([]byte("ping"))
	buf := make([]byte, 1500)
	n, from, _ := server.ReadFromUDPAddrPort(buf)
	server.WriteToUDPAddrPort(buf[:n], from)
	n, _ = client.Read(buf)
	fmt.Printf("%s, at least 20 ms later: %t\n", buf[:n], time.Since(begin) >= 20*time.Millisecond)

	relay.Close()
	fmt.Println(<-ended, relay.Stats().Forward.SentBytes)
	// Output:
	// ping, at least 20 ms later: true
	// <nil> 32
}
