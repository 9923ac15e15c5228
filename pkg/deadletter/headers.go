package deadletter

import (
	"fmt"
	"strings"
	"time"
)

// plainHeaders are a message's headers as a document can hold them: names
// without `$`, dots or NUL (percent-encoded), texts in valid UTF-8, and only
// types that BSON has.
func plainHeaders(headers map[string]any) map[string]any {
	if len(headers) == 0 {
		return nil
	}
	plain := make(map[string]any, len(headers))
	for name, v := range headers {
		plain[plainName.Replace(clean(name))] = plainValue(v)
	}
	return plain
}

var plainName = strings.NewReplacer("%", "%25", "$", "%24", ".", "%2E")

func plainValue(v any) any {
	switch v := v.(type) {
	case map[string]any:
		if len(v) == 0 {
			return map[string]any{}
		}
		return plainHeaders(v)
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = plainValue(v[i])
		}
		return list
	case string:
		return clean(v)
	case nil, bool, byte, int8, int16, int32, int64, uint16, uint32, float32, float64, []byte, time.Time:
		return v
	default:
		return clean(fmt.Sprint(v))
	}
}
