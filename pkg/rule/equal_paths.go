package rule

import "go.mongodb.org/mongo-driver/bson"

// EqualPaths are the paths that a condition fixes to one value, or to one of a
// list, in the order in which it names them: what an index that serves it may
// begin with.
func EqualPaths(conditions bson.Raw) []string {
	c, err := Compile(conditions)
	if err != nil {
		return nil
	}
	return equalPaths(c.root, nil)
}

func equalPaths(n node, paths []string) []string {
	switch n := n.(type) {
	case *leaf:
		if fixes(n.pred) {
			return append(paths, n.path.name)
		}
	case allOf:
		for _, k := range n {
			paths = equalPaths(k, paths)
		}
	}
	return paths
}

// Since says whether a condition can hold only where a path has a date from some
// time on, so that an index which begins with the path need not be read whole.
func Since(conditions bson.Raw, path string) bool {
	c, err := Compile(conditions)
	return err == nil && since(c.root, path)
}

func since(n node, path string) bool {
	switch n := n.(type) {
	case *leaf:
		return n.path.name == path && isSince(n.pred)
	case allOf:
		for _, k := range n {
			if since(k, path) {
				return true
			}
		}
	}
	return false
}

func isSince(p predicate) bool {
	switch p := p.(type) {
	case *ordered:
		return p.class == classDate && (p.relation == greater || p.relation == greaterOrEqual)
	case *equal:
		return p.class == classDate
	default:
		return false
	}
}

// fixes says whether a predicate holds for one value or a few, none of them
// null, which stands for what is not there.
func fixes(p predicate) bool {
	switch p := p.(type) {
	case *equal:
		return p.class != classNull
	case *member:
		return !p.null && len(p.regexes) == 0
	default:
		return false
	}
}
