package twcp

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer"
	"github.com/tradewind-io/tradewind/internal/cli"
)

// codeOf returns the product's code for an error, CodeUnknown for nil.
func codeOf(err error) transfer.Code {
	var e *transfer.Error
	switch {
	case err == nil:
		return transfer.CodeUnknown
	case errors.As(err, &e):
		return e.Code
	}
	return transfer.CodeASCP
}

// errorText says what went wrong, in the product's words where it has some.
func errorText(err error) string {
	var (
		mismatch *cli.HostMismatch
		sig      cli.SignalError
		peer     *fasp.PeerError
		te       *transfer.Error
		connect  *connectError
		stopped  stoppedError
	)
	switch {
	case errors.As(err, &mismatch):
		return mismatch.Error()
	case errors.As(err, &stopped):
		return string(stopped) + "; what has arrived is kept, and the same command resumes"
	case errors.As(err, &sig):
		return fmt.Sprintf("stopped by signal (%s); what has arrived is kept, and the same command resumes", sig)
	case errors.Is(err, context.Canceled):
		return "stopped; what has arrived is kept, and the same command resumes"
	case errors.As(err, &connect) && errors.Is(err, fasp.ErrHandshakeTimeout):
		return fmt.Sprintf("Client unable to connect to server (check UDP port and firewall): no answer from %s, UDP port %d (option -O)", connect.host, connect.port)
	case errors.Is(err, fasp.ErrHandshakeTimeout):
		return "Client unable to connect to server (check UDP port and firewall)"
	case errors.As(err, &peer) && peer.Code == fasp.CodeAuth:
		return peer.Reason
	case errors.As(err, &peer) && peer.Code >= fasp.CodeApplication:
		return "Server aborted session: " + strings.TrimSuffix(peer.Reason, codeSuffix(codeOf(err)))
	case errors.As(err, &peer) && (peer.Code == fasp.CodeBusy || peer.Code == fasp.CodeShutdown):
		return "the server takes no session now: " + peerReason(peer)
	case errors.As(err, &te):
		return strings.TrimSuffix(err.Error(), codeSuffix(te.Code))
	}
	return err.Error()
}

func peerReason(e *fasp.PeerError) string {
	if e.Reason == "" {
		return e.Code.String()
	}
	return e.Reason
}

// codeSuffix is what transfer.Error puts behind its texts; the code is printed elsewhere.
func codeSuffix(c transfer.Code) string { return fmt.Sprintf(" (code %d)", uint16(c)) }
