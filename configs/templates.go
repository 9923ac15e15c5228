// Package configs carries what a new installation begins with.
package configs

import "embed"

// Templates are the letters' templates, a YAML file each.
//
//go:embed templates/*.yaml
var Templates embed.FS
