// Package lab runs the built programs on one machine for the demonstration and the benchmarks: a node, an emulated
// long-distance link and clients, each a process of its own, with their times and memory.
package lab
