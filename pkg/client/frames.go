package client

import (
	"bufio"
	"io"
	"iter"
	"strings"
)

// longestLine is above the largest event as JSON.
const longestLine = 8 << 20

// Frame is one server-sent event of a stream.
type Frame struct {
	// Event is its kind, "" of one that only tells the position.
	Event string
	// Data is JSON.
	Data string
	// ID is the position after it; StreamEvents goes on from there with it as LastEventID.
	ID string
}

// Frames reads the body of a stream until it ends, or with the error that ended
// it. A frame that breaks off is not told.
//
//	stream, err := api.StreamEvents(ctx, client.StreamEventsParams{Type: "PAYMENT_FAILED"})
//	…
//	defer stream.Body.Close()
//	for frame, err := range client.Frames(stream.Body) { … }
func Frames(body io.Reader) iter.Seq2[Frame, error] {
	return func(yield func(Frame, error) bool) {
		lines := bufio.NewScanner(body)
		lines.Buffer(nil, longestLine)
		var f Frame
		for lines.Scan() {
			name, value, _ := strings.Cut(lines.Text(), ":")
			value = strings.TrimPrefix(value, " ")
			switch {
			case lines.Text() == "": // the frame's end
				if f != (Frame{}) && !yield(f, nil) {
					return
				}
				f = Frame{}
			case name == "event":
				f.Event = value
			case name == "data" && f.Data != "":
				f.Data += "\n" + value
			case name == "data":
				f.Data = value
			case name == "id":
				f.ID = value
			}
		}
		if err := lines.Err(); err != nil {
			yield(Frame{}, err)
		}
	}
}
