package event

// traceID returns the trace id of a W3C traceparent (version 00), or nil when
// it is none.
func traceID(traceparent []byte) []byte {
	const (
		length           = len("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
		from, to, parent = 3, 35, 52
	)
	if len(traceparent) != length {
		return nil
	}
	zeros := 0
	for i, c := range traceparent {
		switch {
		case i == from-1 || i == to || i == parent:
			if c != '-' {
				return nil
			}
		case (c < '0' || c > '9') && (c < 'a' || c > 'f'):
			return nil
		case c == '0' && i >= from && i < to:
			zeros++
		}
	}
	if zeros == to-from {
		return nil
	}
	return traceparent[from:to]
}
