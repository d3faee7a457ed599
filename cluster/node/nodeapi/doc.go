// Package nodeapi serves the Node API of one node (docs/api.md) as an http.Handler.
//
// A [Server] finds out who makes a request through an accesskey.Checker, gets from it the Grant that says what the request may touch, and opens the Grant's place through
// [Places]. It keeps nothing between requests but the probes of storage that are under way; Close waits for those.
//
// Every body and every listing is bounded. How long a request may take is up to the http.Server around it; docs/api.md section 10 has values that fit.
package nodeapi
