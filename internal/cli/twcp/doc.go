// Package twcp is the command twcp: it reads a command line in the form of the product's ascp, turns it into a transfer.Spec and runs it.
//
// The way through: flags.go reads options, paths.go and lists.go find out which side is remote, spec.go makes the Spec, credentials.go and
// dial.go open sessions, and display.go with its three kinds (progress.go, json.go, quiet) shows what happens. Exit codes: 0 all right, 1 anything else; --json
// carries the product's error code.
package twcp
