package rule

import (
	"math"
	"strconv"
	"strings"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/bsontype"
)

var opType = operator{
	name: "$type",
	doc: "The field, or an element of the array it holds, is of the BSON type, or of one of a list of types, each by its name or its number. " +
		"\"number\" stands for int, long, double and decimal; the names are " + typeNameList() + ".",
	field: func(c *compiler, p *path, arg value, o operand) node {
		types := &ofType{}
		if arg.t != bson.TypeArray {
			if !types.add(c, arg, o.at) {
				return nil
			}
			return c.leaf(p, types, o.at)
		}
		ok, count := true, 0
		for it := elementsOf(arg.b); ; count++ {
			_, v, more := it.next()
			if !more {
				break
			}
			ok = types.add(c, v, o.at.at(count)) && ok
		}
		if count == 0 {
			c.refuse(o.at, "$type takes at least one type")
			ok = false
		}
		if !ok {
			return nil
		}
		return c.leaf(p, types, o.at)
	},
	must: func(arg value, _ []byte) string { return "be of type " + alternatives(arg) },
}

// typeNames are MongoDB's names and numbers of the types.
var typeNames = []struct {
	name   string
	number int
	t      bsontype.Type
}{
	{"double", 1, bson.TypeDouble},
	{"string", 2, bson.TypeString},
	{"object", 3, bson.TypeEmbeddedDocument},
	{"array", 4, bson.TypeArray},
	{"binData", 5, bson.TypeBinary},
	{"undefined", 6, bson.TypeUndefined},
	{"objectId", 7, bson.TypeObjectID},
	{"bool", 8, bson.TypeBoolean},
	{"date", 9, bson.TypeDateTime},
	{"null", 10, bson.TypeNull},
	{"regex", 11, bson.TypeRegex},
	{"dbPointer", 12, bson.TypeDBPointer},
	{"javascript", 13, bson.TypeJavaScript},
	{"symbol", 14, bson.TypeSymbol},
	{"javascriptWithScope", 15, bson.TypeCodeWithScope},
	{"int", 16, bson.TypeInt32},
	{"timestamp", 17, bson.TypeTimestamp},
	{"long", 18, bson.TypeInt64},
	{"decimal", 19, bson.TypeDecimal128},
	{"minKey", -1, bson.TypeMinKey},
	{"maxKey", 127, bson.TypeMaxKey},
}

func typeNameList() string {
	names := make([]string, len(typeNames))
	for i, t := range typeNames {
		names[i] = t.name
	}
	return strings.Join(names, " ")
}

// typeName is MongoDB's name of a value's type.
func typeName(t bsontype.Type) string {
	if t == missing {
		return "missing"
	}
	for _, n := range typeNames {
		if n.t == t {
			return n.name
		}
	}
	return "0x" + strconv.FormatUint(uint64(t), 16)
}

// ofType holds for values of some types: a bit for each number of a type.
type ofType struct{ bits [4]uint64 }

func (p *ofType) test(v value, _ *meter) bool {
	return v.t != missing && p.bits[v.t>>6]&(1<<(v.t&63)) != 0
}

func (p *ofType) set(t bsontype.Type) { p.bits[t>>6] |= 1 << (t & 63) }

func (p *ofType) add(c *compiler, v value, at *place) bool {
	if v.class() == classString {
		return p.addName(c, string(v.text()), at)
	}
	f, ok := math.NaN(), false
	if v.class() == classNumber {
		f, ok = exactFloat(v)
	}
	for _, n := range typeNames {
		if ok && f == float64(n.number) {
			p.set(n.t)
			return true
		}
	}
	if ok && f == 0 {
		c.refuse(at, "there is no type 0; a field that is absent is {\"$exists\": false}")
		return false
	}
	c.refuse(at, "$type takes the name of a type (number %s) or its number, 1 to 19, -1 or 127", typeNameList())
	return false
}

func (p *ofType) addName(c *compiler, name string, at *place) bool {
	if name == "number" {
		for _, t := range []bsontype.Type{bson.TypeInt32, bson.TypeInt64, bson.TypeDouble, bson.TypeDecimal128} {
			p.set(t)
		}
		return true
	}
	names := []string{"number"}
	for _, n := range typeNames {
		if n.name == name {
			p.set(n.t)
			return true
		}
		names = append(names, n.name)
	}
	if near := closest(strings.ToLower(name), names); near != "" {
		c.refuse(at, "there is no type %q, did you mean %s?", name, near)
	} else {
		c.refuse(at, "there is no type %q; known are number %s", name, typeNameList())
	}
	return false
}
