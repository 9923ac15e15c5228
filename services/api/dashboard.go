package api

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"
)

// pages is the dashboard; it works without internet. Its program and style are
// made of dashboard/ by `npm run build` there, which scripts/verify compares.
//
//go:embed web
var pages embed.FS

// dashboardPolicy is the page's Content-Security-Policy: files of ours alone,
// and nothing that is written into the page, neither script nor style.
const dashboardPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

// dashboard serves the page at / and its files beside it, packed once at start.
// Browsers ask each time, so that a new version shows at once, and get nothing
// when they have it.
func dashboard(e *echo.Echo) {
	for route, file := range map[string]string{"/": "index.html", "/app.js": "app.js", "/app.css": "app.css", "/coasts.json": "coasts.json", "/favicon.svg": "favicon.svg", "/licenses.txt": "licenses.txt"} {
		plain, err := pages.ReadFile("web/" + file)
		if err != nil {
			panic(err) // the folder is part of the program
		}
		packed := pack(plain)
		sum := sha256.Sum256(plain)
		tag := `"` + hex.EncodeToString(sum[:8]) + `"`
		kind := mime.TypeByExtension(path.Ext(file))
		e.GET(route, func(c echo.Context) error {
			h := c.Response().Header()
			h.Set("Content-Security-Policy", dashboardPolicy)
			h.Set(echo.HeaderCacheControl, "no-cache")
			h.Set(echo.HeaderVary, echo.HeaderAcceptEncoding)
			h.Set("ETag", tag)
			if c.Request().Header.Get("If-None-Match") == tag {
				return c.NoContent(http.StatusNotModified)
			}
			if strings.Contains(c.Request().Header.Get(echo.HeaderAcceptEncoding), "gzip") {
				h.Set(echo.HeaderContentEncoding, "gzip")
				h.Set(echo.HeaderContentLength, strconv.Itoa(len(packed)))
				return c.Blob(http.StatusOK, kind, packed)
			}
			return c.Blob(http.StatusOK, kind, plain)
		})
	}
}

func pack(plain []byte) []byte {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // it knows this level
	_, _ = w.Write(plain)                                 // memory does not fail
	_ = w.Close()
	return b.Bytes()
}
