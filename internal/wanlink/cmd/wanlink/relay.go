package main

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/spf13/cobra"

	"github.com/tradewind-io/tradewind/internal/wanlink"
)

func relayCommand() *cobra.Command {
	var listen, to string
	cmd := &cobra.Command{
		Use:   "relay --to HOST:PORT",
		Short: "Relay UDP between clients and one server across the link",
		Long: `Relay listens for UDP datagrams and forwards them to one server across the emulated link, and back. Each client
has an upstream port of its own, as behind a NAT; all share the two links.

When ready it prints {"event":"ready","addr":"HOST:PORT"}; on SIGINT or SIGTERM it ends and prints a line with the event
"stats". Both are on standard output.`,
		Example: "  wanlink relay --listen 127.0.0.1:4000 --to 127.0.0.1:5000 --rate 300M --rtt 100ms --loss 1% --queue 100ms --seed 1",
		Args:    cobra.NoArgs,
	}
	link := addLinkFlags(cmd)
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:0", "address that clients send to; port 0 picks a free one")
	cmd.Flags().StringVar(&to, "to", "", "address of the server")
	cmd.MarkFlagRequired("to")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var cfg wanlink.Config
		var err error
		if cfg.Listen, err = resolve(listen); err != nil {
			return fmt.Errorf("--listen: %w", err)
		}
		if cfg.Target, err = resolve(to); err != nil {
			return fmt.Errorf("--to: %w", err)
		}
		cfg.Forward, cfg.Backward = link.impairments()
		cfg.Seed = link.seed
		r, err := wanlink.NewRelay(cfg)
		if err != nil {
			return err
		}
		defer r.Close()
		ready := struct {
			Event string         `json:"event"`
			Addr  netip.AddrPort `json:"addr"`
		}{"ready", r.Addr()}
		if err := printLine(cmd.OutOrStdout(), ready); err != nil {
			return err
		}
		if err := r.Run(cmd.Context()); err != nil {
			return err
		}
		return printLine(cmd.OutOrStdout(), newStatsLine(r.Stats()))
	}
	return cmd
}

func resolve(addr string) (netip.AddrPort, error) {
	a, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return netip.AddrPort{}, err
	}
	return a.AddrPort(), nil
}
