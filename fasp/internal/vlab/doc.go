// Package vlab runs sessions and models of TCP over one shared bottleneck in virtual time: a direct event loop over
// [core.Conn], without sockets, goroutines, payload or cryptography, so that an hour of a gigabit takes minutes and
// every run of a seed is the same. Tests of the rate law and the matrix of docs/performance.md are made with it.
package vlab
