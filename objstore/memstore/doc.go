// Package memstore keeps objects in memory, for tests and as the plainest example of an objstore.Driver.
//
// New makes a place of its own. A Host has places by name, as a program has that takes mem://NAME/KEY: all Drivers of one
// name of one Host see the same objects, and closing them loses nothing. There is nothing between two Hosts.
//
// Every request is atomic. Objects that are being read keep their bytes when they are replaced. Memory grows with what is
// stored; there is no bound.
package memstore
