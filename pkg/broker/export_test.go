package broker

import "io"

// GuardReader lets the specs see what the guard makes of a byte stream.
func GuardReader(marker string, maxFrame int, src io.Reader) io.Reader {
	g := &guard{marker: marker}
	g.maxFrame.Store(int64(maxFrame))
	return guardReader{g, src}
}

type guardReader struct {
	g   *guard
	src io.Reader
}

func (r guardReader) Read(p []byte) (int, error) { return r.g.read(r.src, p) }
