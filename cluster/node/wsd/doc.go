// Package wsd hands over tickets over WebSocket and TLS on a node (docs/protocol-auth.md section 47), for clients that a firewall keeps from SSH, and for credentials that SSH does not know: beside accounts with
// their password, access keys, bearer tokens and transfer tokens.
//
// A [Server] takes connections from a listener until its context ends. Each is for one request: the credentials come in its Authorization header, and only who is let in gets a WebSocket, asks one [Question] in
// JSON, and gets one answer. Pages of browsers are refused. What strangers can take is bounded: connections that have not logged in, of which the oldest gives way, the size of what they send, the time for each
// step, attempts of a source and at an account, which package logins counts for all ways in, and hashes that are computed at a time. Who fails is told the same, after the same work, whether there is such a key or account or not.
package wsd
