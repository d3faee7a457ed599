// Package storetest is the test suite that every objstore.Driver passes.
//
//	func TestConformance(t *testing.T) {
//		storetest.Run(t, storetest.Target{Open: func(t testing.TB) objstore.Driver { return memstore.New() }})
//	}
//
// What a platform cannot do by its Caps is skipped by name. Drivers that start goroutines run their tests under
// leaktest.Main, so that the suite also shows that none are left.
package storetest
