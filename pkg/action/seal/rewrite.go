package seal

import (
	"errors"
	"strconv"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/x/bsonx/bsoncore"
)

// rewrite copies a document and changes its texts, at any depth. A text counts
// as secret when it differs from the one at its place in masked.
func rewrite(doc, masked bson.Raw, change func(text string, secret bool) (string, error)) (bson.Raw, error) {
	if len(doc) == 0 {
		return doc, nil
	}
	return rewriteDocument(nil, doc, masked, false, change)
}

var errMask = errors.New("a type's mask has another shape than its configuration")

func rewriteDocument(out []byte, doc, masked bson.Raw, list bool, change func(string, bool) (string, error)) ([]byte, error) {
	elements, err := doc.Elements()
	if err != nil {
		return nil, err
	}
	var masks []bson.RawElement
	if masked != nil {
		if masks, err = masked.Elements(); err != nil || len(masks) != len(elements) {
			return nil, errMask
		}
	}
	start, out := bsoncore.AppendDocumentStart(out)
	for i, e := range elements {
		name := e.Key()
		if list {
			name = strconv.Itoa(i)
		}
		v, mask := e.Value(), bson.RawValue{}
		if masks != nil {
			mask = masks[i].Value()
		}
		if out, err = rewriteValue(out, name, v, mask, masks != nil, change); err != nil {
			return nil, err
		}
	}
	return bsoncore.AppendDocumentEnd(out, start)
}

func rewriteValue(out []byte, name string, v, mask bson.RawValue, haveMask bool, change func(string, bool) (string, error)) ([]byte, error) {
	if text, ok := v.StringValueOK(); ok {
		shown, same := mask.StringValueOK()
		changed, err := change(text, haveMask && (!same || shown != text))
		return bsoncore.AppendStringElement(out, name, changed), err
	}
	if v.Type != bson.TypeEmbeddedDocument && v.Type != bson.TypeArray {
		return bsoncore.AppendValueElement(out, name, bsoncore.Value{Type: v.Type, Data: v.Value}), nil
	}
	var inner bson.Raw
	if haveMask {
		if mask.Type != v.Type {
			return nil, errMask
		}
		inner = mask.Value
	}
	out = bsoncore.AppendHeader(out, v.Type, name)
	return rewriteDocument(out, v.Value, inner, v.Type == bson.TypeArray, change)
}

// contains looks for a text, at any depth.
func contains(doc bson.Raw, is func(text string) bool) bool {
	elements, err := doc.Elements()
	if err != nil {
		return false
	}
	for _, e := range elements {
		v := e.Value()
		text, isText := v.StringValueOK()
		switch {
		case isText && is(text):
			return true
		case v.Type == bson.TypeEmbeddedDocument || v.Type == bson.TypeArray:
			if contains(v.Value, is) {
				return true
			}
		}
	}
	return false
}
