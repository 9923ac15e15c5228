package rule

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/x/bsonx/bsoncore"
)

// Windows are the rules of the set that have a window, in its order.
func (s *Set) Windows() []*Compiled {
	var found []*Compiled
	for i := range s.rules {
		if s.rules[i].Rule.Window != nil {
			found = append(found, &s.rules[i])
		}
	}
	return found
}

// understood says what nobody here understands of a rule that is stored: a newer
// release saved it, or somebody changed it by hand. Such a rule would never fire,
// and nobody would hear why.
func (r *Rule) understood() error {
	if r.Mode != "" && r.Mode != Live && r.Mode != Shadow {
		return fmt.Errorf("mode %q is not known here", r.Mode)
	}
	if r.Window == nil {
		return nil
	}
	for _, p := range r.Window.Check() {
		return fmt.Errorf("window%s: %s", p.Pointer, p.Message)
	}
	return nil
}

// NamesDelivery says whether a condition can only hold for events of
// DeliveryType, or of a list of types that has it: only then do such events
// match.
func NamesDelivery(conditions bson.Raw) bool {
	c, err := Compile(conditions)
	return err == nil && namesDelivery(c.root)
}

// What is kept of a window's key that is long: keys stand in alerts, in queries
// and in memory.
const (
	longestKey   = 1 << 10
	longestValue = 64
	// cutMark stands before the hash of a value that was cut.
	cutMark = "…#"
)

// WindowKey is the Key of an event, short: values of a long key are cut, with
// their hash, so that different ones stay different. It is empty when there are
// no paths.
func WindowKey(doc bson.Raw, paths []string) string {
	if len(paths) == 0 {
		return ""
	}
	key := Key(doc, paths)
	if len(key) <= longestKey {
		return string(key)
	}
	at, b := bsoncore.AppendDocumentStart(nil)
	for it := elementsOf(key); ; {
		name, v, ok := it.next()
		if !ok {
			break
		}
		if len(v.b) <= longestValue {
			b = append(bsoncore.AppendHeader(b, v.t, string(name)), v.b...)
			continue
		}
		sum := sha256.Sum256(append([]byte{byte(v.t)}, v.b...))
		shown := ""
		if v.class() == classString {
			shown = strings.ToValidUTF8(string(v.text()[:longestValue]), "")
		}
		b = bsoncore.AppendStringElement(b, string(name), shown+cutMark+hex.EncodeToString(sum[:]))
	}
	b, _ = bsoncore.AppendDocumentEnd(b, at) // its only error is a length beyond 2 GiB
	return string(b)
}

// Searchable says whether the database's equality finds every event that has
// this value at the path in its key. It does not for arrays, which may be
// gathered from many places, for documents, whose numbers may be of other types,
// for regular expressions, which would search, and for values that were cut. Nor
// does it for null where the path may have led to a position that an array does
// not have: there MongoDB finds nothing that null is equal to.
func Searchable(path string, v bson.RawValue) bool {
	switch v.Type {
	case bson.TypeString:
		return !strings.Contains(v.StringValue(), cutMark)
	case bson.TypeNull:
		return !slices.ContainsFunc(newPath(path).parts[1:], func(p part) bool { return p.number })
	case bson.TypeInt64, bson.TypeDouble, bson.TypeDecimal128, bson.TypeBoolean, bson.TypeDateTime, bson.TypeObjectID:
		return true
	default:
		return false
	}
}

// SearchableKey says whether all values of a window key are Searchable.
func SearchableKey(key string) bool {
	elements, _ := bson.Raw(key).Elements()
	for _, e := range elements {
		if !Searchable(e.Key(), e.Value()) {
			return false
		}
	}
	return true
}
