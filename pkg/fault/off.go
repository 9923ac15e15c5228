//go:build !faultpoints

package fault

// At does nothing in a normal build.
func At(Point) {}
