// Command testservers installs and runs the storage servers that tests and the demo use.
//
// Exit codes: 0 success, 1 an error, 2 wrong usage.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/tradewind-io/tradewind/internal/testservers"
)

const usage = `usage:
  testservers install [NAME...]      install these, or all
  testservers path NAME              print where it is installed
  testservers run NAME [--addr HOST:PORT] [--data DIR]
                                     run a server until a signal; prints what clients need as KEY=VALUE lines
`

// errUsage is matched by errors about the command line.
var errUsage = errors.New("wrong usage")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal kills
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	err := dispatch(ctx, args, stdout, stderr)
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return 0
	}
	fmt.Fprintln(stderr, "testservers:", err)
	if errors.Is(err, errUsage) {
		fmt.Fprintf(stderr, "%snames: %q\n", usage, testservers.Names())
		return 2
	}
	return 1
}

func dispatch(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		return fmt.Errorf("%w: a command is missing", errUsage)
	}
	switch cmd, args := args[0], args[1:]; cmd {
	case "install":
		return install(ctx, args, stderr)
	case "path":
		if len(args) != 1 {
			return fmt.Errorf("%w: path wants one name", errUsage)
		}
		bin, err := testservers.Path("", args[0])
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(stdout, bin)
		return err
	case "run":
		return serve(ctx, args, stdout, stderr)
	case "help", "-h", "--help":
		_, err := fmt.Fprintf(stdout, "%snames: %q\n", usage, testservers.Names())
		return err
	default:
		return fmt.Errorf("%w: unknown command %q", errUsage, cmd)
	}
}

func install(ctx context.Context, names []string, log io.Writer) error {
	for _, name := range names {
		if !slices.Contains(testservers.Names(), name) {
			return fmt.Errorf("%w: unknown name %q", errUsage, name)
		}
	}
	if len(names) == 0 {
		names = testservers.Names()
	}
	for _, name := range names {
		if err := testservers.Install(ctx, "", name, log); err != nil {
			return err
		}
	}
	return nil
}

func serve(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		return fmt.Errorf("%w: run wants a name", errUsage)
	}
	name := args[0]
	flags := flag.NewFlagSet("run", flag.ContinueOnError)
	flags.SetOutput(stderr)
	addr := flags.String("addr", "", "listen on `HOST:PORT`; the default is a free port of loopback")
	data := flags.String("data", "", "keep data in `DIR`; the default is a temporary folder, removed at the end")
	if err := flags.Parse(args[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%w: unexpected %q", errUsage, flags.Args())
	}
	if *data == "" {
		dir, err := os.MkdirTemp("", "testservers-"+name+"-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		*data = dir
	}
	if err := os.MkdirAll(*data, 0o755); err != nil {
		return err
	}
	s, err := testservers.Start(ctx, name, testservers.Options{Addr: *addr, Dir: *data})
	if err != nil {
		return err
	}
	defer s.Stop()
	// These secrets are made up for tests and known to everybody.
	_, err = fmt.Fprintf(stdout, "endpoint=%s\naccess_key=%s\nsecret_key=%s\nregion=%s\nkms_key=%s\nlog=%s\n",
		s.URL(), s.AccessKey, s.SecretKey, s.Region, s.KMSKey, s.Log)
	if err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}
