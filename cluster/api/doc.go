// Package api is the Node API of a Tradewind node as its clients see it: the JSON of requests and answers, [Error], and a [Client]. The file openapi.yaml describes all calls, and docs/api.md is made of it (make apidoc).
//
// It uses the standard library only, so that a program which asks a node for something links nothing else of this module. Package cluster/node/nodeapi is the server.
package api
