package rule

import (
	"encoding/base64"
	"encoding/hex"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/bsontype"
	"go.mongodb.org/mongo-driver/bson/primitive"
	"go.mongodb.org/mongo-driver/x/bsonx/bsoncore"
)

// bsonDocument turns an object into BSON: the order of the names is kept, whole
// numbers become int32 or int64, and MongoDB's extended JSON its types.
func (n *notes) bsonDocument(t *tree, at *place) bson.Raw {
	return n.appendDocument(nil, t, at)
}

func (n *notes) appendDocument(dst []byte, t *tree, at *place) []byte {
	start, dst := bsoncore.AppendDocumentStart(dst)
	for i, key := range t.keys {
		kid := t.kids[i]
		if key == "$in" || key == "$nin" || key == "$all" {
			kid = membersAsRegexes(kid)
		}
		dst = n.appendElement(dst, key, kid, at)
	}
	dst, _ = bsoncore.AppendDocumentEnd(dst, start)
	return dst
}

func (n *notes) appendElement(dst []byte, key string, t *tree, at *place) []byte {
	switch t.kind {
	case treeNull:
		return bsoncore.AppendNullElement(dst, key)
	case treeBool:
		return bsoncore.AppendBooleanElement(dst, key, t.yes)
	case treeText:
		return bsoncore.AppendStringElement(dst, key, t.text)
	case treeNumber:
		return appendTreeNumber(dst, key, t)
	case treeList:
		dst = bsoncore.AppendHeader(dst, bson.TypeArray, key)
		start, dst := bsoncore.AppendDocumentStart(dst)
		for i, kid := range t.kids {
			dst = n.appendElement(dst, strconv.Itoa(i), kid, at.in(key))
		}
		dst, _ = bsoncore.AppendDocumentEnd(dst, start)
		return dst
	default:
		here := at.in(key)
		if v, ok := n.extended(t, here); ok {
			return bsoncore.AppendValueElement(dst, key, v)
		}
		return n.appendDocument(bsoncore.AppendHeader(dst, bson.TypeEmbeddedDocument, key), t, here)
	}
}

func appendTreeNumber(dst []byte, key string, t *tree) []byte {
	switch {
	case !t.whole:
		return bsoncore.AppendDoubleElement(dst, key, t.f)
	case math.MinInt32 <= t.i && t.i <= math.MaxInt32:
		return bsoncore.AppendInt32Element(dst, key, int32(t.i))
	default:
		return bsoncore.AppendInt64Element(dst, key, t.i)
	}
}

// membersAsRegexes reads {"$regex": …, "$options": …} in a list as the regular
// expression that it is in older extended JSON; MongoDB takes no operators there.
func membersAsRegexes(t *tree) *tree {
	if t.kind != treeList {
		return t
	}
	out := *t
	out.kids = make([]*tree, len(t.kids))
	for i, kid := range t.kids {
		out.kids[i] = kid
		pattern, options := kid.get("$regex"), kid.get("$options")
		if pattern == nil || pattern.kind != treeText || len(kid.keys) != 1+b2i(options != nil) {
			continue
		}
		if options == nil {
			options = &tree{kind: treeText}
		}
		out.kids[i] = &tree{kind: treeObject, line: kid.line, keys: []string{"$regularExpression"}, kids: []*tree{
			{kind: treeObject, line: kid.line, keys: []string{"pattern", "options"}, kids: []*tree{pattern, options}},
		}}
	}
	return &out
}

// extended reads an object that stands for a BSON value. An object that looks
// like one and is none is noted.
func (n *notes) extended(t *tree, at *place) (bsoncore.Value, bool) {
	if len(t.keys) == 0 || len(t.keys) > 2 || !strings.HasPrefix(t.keys[0], "$") {
		return bsoncore.Value{}, false
	}
	read, ok := extendedJSON[t.keys[0]]
	if !ok {
		return bsoncore.Value{}, false
	}
	v, problem := read(t, t.kids[0])
	if problem == "" && len(t.keys) == 2 && (t.keys[0] != "$binary" || t.keys[1] != "$type") {
		problem = "has a second name, " + t.keys[1]
	}
	if problem != "" {
		n.add(t.line, at, "%s %s", t.keys[0], problem)
		return bsoncore.Value{Type: bson.TypeNull}, true
	}
	return v, true
}

// extendedJSON reads each form by its first name; the text says what is wrong.
var extendedJSON = map[string]func(whole, arg *tree) (bsoncore.Value, string){
	"$oid": func(_, arg *tree) (bsoncore.Value, string) {
		id, err := primitive.ObjectIDFromHex(arg.text)
		if err != nil {
			return bsoncore.Value{}, "takes 24 hexadecimal digits"
		}
		return bsoncore.Value{Type: bson.TypeObjectID, Data: id[:]}, ""
	},
	"$date": func(_, arg *tree) (bsoncore.Value, string) {
		ms, ok := dateOf(arg)
		if !ok {
			return bsoncore.Value{}, `takes a time as "2006-01-02T15:04:05Z", or milliseconds since 1970`
		}
		return bsoncore.Value{Type: bson.TypeDateTime, Data: bsoncore.AppendDateTime(nil, ms)}, ""
	},
	"$numberInt": func(_, arg *tree) (bsoncore.Value, string) {
		i, err := strconv.ParseInt(arg.text, 10, 32)
		if err != nil {
			return bsoncore.Value{}, "takes a whole number of 32 bits as text"
		}
		return bsoncore.Value{Type: bson.TypeInt32, Data: bsoncore.AppendInt32(nil, int32(i))}, ""
	},
	"$numberLong": func(_, arg *tree) (bsoncore.Value, string) {
		i, err := strconv.ParseInt(arg.text, 10, 64)
		if err != nil {
			return bsoncore.Value{}, "takes a whole number of 64 bits as text"
		}
		return bsoncore.Value{Type: bson.TypeInt64, Data: bsoncore.AppendInt64(nil, i)}, ""
	},
	"$numberDouble": func(_, arg *tree) (bsoncore.Value, string) {
		f, err := strconv.ParseFloat(arg.text, 64)
		if err != nil {
			return bsoncore.Value{}, `takes a number as text, "Infinity", "-Infinity" or "NaN"`
		}
		return bsoncore.Value{Type: bson.TypeDouble, Data: bsoncore.AppendDouble(nil, f)}, ""
	},
	"$numberDecimal": func(_, arg *tree) (bsoncore.Value, string) {
		d, err := primitive.ParseDecimal128(arg.text)
		if err != nil {
			return bsoncore.Value{}, "takes a decimal number as text"
		}
		return bsoncore.Value{Type: bson.TypeDecimal128, Data: bsoncore.AppendDecimal128(nil, d)}, ""
	},
	"$binary": binaryOf,
	"$uuid": func(_, arg *tree) (bsoncore.Value, string) {
		id, err := uuid.Parse(arg.text)
		if err != nil {
			return bsoncore.Value{}, "takes a UUID"
		}
		return bsoncore.Value{Type: bson.TypeBinary, Data: bsoncore.AppendBinary(nil, bson.TypeBinaryUUID, id[:])}, ""
	},
	"$regularExpression": func(_, arg *tree) (bsoncore.Value, string) {
		pattern, options := arg.get("pattern"), arg.get("options")
		if pattern == nil || options == nil || pattern.kind != treeText || options.kind != treeText || len(arg.keys) != 2 ||
			strings.ContainsRune(pattern.text+options.text, 0) {
			return bsoncore.Value{}, `takes {"pattern": …, "options": …}`
		}
		return bsoncore.Value{Type: bson.TypeRegex, Data: bsoncore.AppendRegex(nil, pattern.text, options.text)}, ""
	},
	"$timestamp": func(_, arg *tree) (bsoncore.Value, string) {
		t, i := arg.get("t"), arg.get("i")
		if t == nil || i == nil || !t.whole || !i.whole || t.i < 0 || i.i < 0 || t.i > math.MaxUint32 || i.i > math.MaxUint32 {
			return bsoncore.Value{}, `takes {"t": seconds, "i": number}`
		}
		return bsoncore.Value{Type: bson.TypeTimestamp, Data: bsoncore.AppendTimestamp(nil, uint32(t.i), uint32(i.i))}, ""
	},
	"$symbol": textual(bson.TypeSymbol),
	"$code":   textual(bson.TypeJavaScript),
	"$minKey": func(_, _ *tree) (bsoncore.Value, string) { return bsoncore.Value{Type: bson.TypeMinKey}, "" },
	"$maxKey": func(_, _ *tree) (bsoncore.Value, string) { return bsoncore.Value{Type: bson.TypeMaxKey}, "" },
}

// textual reads the types that hold text beside strings.
func textual(t bsontype.Type) func(whole, arg *tree) (bsoncore.Value, string) {
	return func(_, arg *tree) (bsoncore.Value, string) {
		if arg.kind != treeText {
			return bsoncore.Value{}, "takes text"
		}
		return bsoncore.Value{Type: t, Data: bsoncore.AppendString(nil, arg.text)}, ""
	}
}

func dateOf(arg *tree) (ms int64, ok bool) {
	switch arg.kind {
	case treeText:
		for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999-0700", time.DateOnly} {
			if at, err := time.Parse(layout, arg.text); err == nil {
				return at.UnixMilli(), true
			}
		}
		return 0, false
	case treeNumber:
		return arg.i, arg.whole
	default:
		long := arg.get("$numberLong")
		if long == nil {
			return 0, false
		}
		ms, err := strconv.ParseInt(long.text, 10, 64)
		return ms, err == nil
	}
}

// binaryOf reads {"$binary": {"base64": …, "subType": …}} and the older
// {"$binary": …, "$type": …}.
func binaryOf(whole, arg *tree) (bsoncore.Value, string) {
	content, subtype := arg.get("base64"), arg.get("subType")
	if arg.kind == treeText {
		content, subtype = arg, whole.get("$type")
	}
	const want = `takes {"base64": …, "subType": two hexadecimal digits}`
	if content == nil || subtype == nil {
		return bsoncore.Value{}, want
	}
	data, err := base64.StdEncoding.DecodeString(content.text)
	if err != nil {
		return bsoncore.Value{}, want
	}
	digits := subtype.text
	if len(digits) == 1 {
		digits = "0" + digits
	}
	sub, err := hex.DecodeString(digits)
	if err != nil || len(sub) != 1 {
		return bsoncore.Value{}, want
	}
	return bsoncore.Value{Type: bson.TypeBinary, Data: bsoncore.AppendBinary(nil, sub[0], data)}, ""
}
