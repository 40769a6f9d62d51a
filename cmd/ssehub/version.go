package main

import "runtime/debug"

// version is that of the module, which for a checkout has its commit.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "ssehub, of no known version"
	}
	return "ssehub " + info.Main.Version + " " + info.GoVersion
}
