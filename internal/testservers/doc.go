// Package testservers installs and runs real storage servers, and clients of others, for tests and the demo.
//
// A test asks for a server of its own, or for one that all tests of its package share:
//
//	var servers testservers.Group
//
//	func TestMain(m *testing.M) { leaktest.Main(m, servers.Close) }
//
//	func TestPut(t *testing.T) {
//		s := servers.MinIO(t)          // started by the first test that asks
//		s.MakeBucket(t, "put")
//		...
//	}
//
//	func TestCrash(t *testing.T) {
//		s := testservers.MinIO(t)      // ends with this test
//		s.Kill()
//		...
//	}
//
// Servers listen on loopback, on a port that was free, keep their data in a temporary folder, see nothing of the
// caller's environment, and end with the process that started them, on Linux even if that is killed.
//
// What is not installed is skipped, with a message that says how to install it. Where the environment variable
// TRADEWIND_REQUIRE names it, or its group, the test fails instead: "minio,versitygw" or "s3", which stands for all that
// the S3 tests want. Nothing is installed by a test; the command does that:
//
//	go run ./internal/testservers/cmd/testservers install
//
// Versions are pinned in program.go. Everything is installed below one folder of the user's cache, by the ordinary
// clients: go install and pip.
package testservers
