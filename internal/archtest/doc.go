// Package archtest holds the repository to its architecture. Its test loads
// every package with go list and reads every file, and fails with one line for
// each place that breaks a rule: what breaks it, by which chain of imports, and
// why the rule exists.
//
// The rules are data, in rules.go. A rule that turns out to be wrong is changed
// there, with its reason, and not worked around.
//
// # Names and patterns
//
// A package of this module is named by its folder, "./fasp/transfer"; every
// other package by its import path. In a pattern a last element "..." stands for
// the package itself and everything below it, "std" for the standard library,
// and a pattern that begins with "!" takes away from those before it.
//
// # Limits
//
// Imports are seen as Linux, macOS and Windows on amd64 see them, without build
// tags. Imports of tests are not checked: tests may use what they like.
package archtest
