// Package cli is what the commands share: the environment, folders for configuration and state, signals, logs, and the file of known hosts.
// It and its subpackages, which are the commands, are the only places beside cmd that read the environment.
package cli
