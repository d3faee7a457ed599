// Package rate decides how fast a sender sends (docs/protocol.md section 9, docs/decisions/0006-rate-law.md). A
// Controller is a value without clock, lock or I/O: it is told what reports say and what the trains measured, and
// says the rate. Rates are bits per second of IP bytes.
package rate
