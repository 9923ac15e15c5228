package telemetry

import (
	"runtime/debug"
	"strings"
)

// Version names the build: the module's version, which the go command takes
// from the repository's tag or commit.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	version := info.Main.Version
	if version == "" || version == "(devel)" {
		version = "devel"
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				version += "-" + s.Value[:min(12, len(s.Value))]
			}
		}
	}
	return strings.TrimPrefix(version, "v") + " (" + info.GoVersion + ")"
}
