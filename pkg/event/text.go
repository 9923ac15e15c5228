package event

import "go.mongodb.org/mongo-driver/bson"

// Text is the string at a path of a document, "" when there is none: none at
// all, of another type, or in a document that cannot be read.
func Text(doc bson.Raw, path ...string) string {
	v, err := doc.LookupErr(path...)
	if err != nil {
		return ""
	}
	s, _ := v.StringValueOK()
	return s
}
