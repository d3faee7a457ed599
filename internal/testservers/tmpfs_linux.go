package testservers

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// Tmpfs puts a file system of its own at dir until the test ends, with options such as "size=8m". That needs root: without, the test is skipped, but where TRADEWIND_REQUIRE has the word root, as in CI, it fails.
func Tmpfs(t testing.TB, dir, options string) {
	t.Helper()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		why := fmt.Sprintf("mounting a tmpfs needs root: %v", err)
		if slices.Contains(strings.Split(os.Getenv("TRADEWIND_REQUIRE"), ","), "root") {
			t.Fatal("TRADEWIND_REQUIRE wants root: " + why)
		}
		t.Skip("SKIPPED, " + why)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
}
