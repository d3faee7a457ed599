// Package faultproxy is an HTTP proxy that fails in the ways storage services and networks do, for tests.
//
// It stands on loopback before a real server, and passes requests on with the Host header that the client sent, which
// S3 signatures cover. Rules say which requests meet which Fault: an answer made up by the proxy (a storm of 503, expired
// credentials), a body that is reset, cut off, stalled, corrupted or trickled, an answer that is lost after the server
// has done what it was asked. All requests can be delayed and limited in bandwidth. Everything that passed is counted and
// can be looked at.
//
//	p := faultproxy.New(t, server.Endpoint, faultproxy.Config{Seed: seed})
//	p.Add(faultproxy.Rule{Method: "PUT", Contains: "partNumber=2", Times: 1,
//		Fault: faultproxy.Fault{Request: faultproxy.Body{Do: faultproxy.Reset, At: 1 << 20}}})
//	... // a client of p.Addr()
//
// HTTP/1.1 without TLS only.
package faultproxy
