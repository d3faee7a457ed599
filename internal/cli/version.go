package cli

import (
	"runtime"
	"runtime/debug"
)

// Version returns the version of the program: that of its module where it was built by go install, else "0.0.0" with the commit.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "0.0.0"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		if v[0] == 'v' {
			v = v[1:]
		}
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return "0.0.0+" + s.Value[:12]
		}
	}
	return "0.0.0"
}

// VersionText returns the lines that --version prints. The first holds " version " and the number, by which other programs find it.
func VersionText(program string) string {
	return program + " version " + Version() + "\nTradewind; protocol version 1; " + runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH + "\n"
}
