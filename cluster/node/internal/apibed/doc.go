// Package apibed is what the tests of the packages that serve the Node API share: keys with a folder each, credentials of all kinds, requests over a real connection, and the check that each answer
// is what the OpenAPI document says.
package apibed
