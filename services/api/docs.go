package api

import (
	"bytes"
	"compress/gzip"
	"embed"
	"io"
	"mime"
	"net/http"
	"path"
	"strings"

	"github.com/labstack/echo/v4"
)

// viewer is the page that shows the API's document, and Swagger UI with it, at
// the version that docs/VERSION says. It asks nothing of any other host.
//
//go:embed docs
var viewer embed.FS

// docsPolicy is the page's Content-Security-Policy: Swagger UI writes style
// attributes. Scripts are files of ours alone, and none is made from text.
const docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src data:; " +
	"connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

// docs serves the page at /docs.
func docs(e *echo.Echo) {
	for route, file := range map[string]string{
		"/docs": "index.html", "/docs/docs.js": "docs.js", "/docs/docs.css": "docs.css",
		"/docs/swagger-ui-bundle.js": "swagger-ui-bundle.js.gz", "/docs/swagger-ui.css": "swagger-ui.css.gz",
	} {
		body, err := viewer.ReadFile("docs/" + file)
		if err != nil {
			panic(err) // the folder is part of the program
		}
		name, packed := strings.CutSuffix(file, ".gz")
		kind := mime.TypeByExtension(path.Ext(name))
		e.GET(route, func(c echo.Context) error {
			h := c.Response().Header()
			h.Set("Content-Security-Policy", docsPolicy)
			h.Set(echo.HeaderCacheControl, "no-cache")
			if !packed {
				return c.Blob(http.StatusOK, kind, body)
			}
			h.Set(echo.HeaderVary, echo.HeaderAcceptEncoding)
			if strings.Contains(c.Request().Header.Get(echo.HeaderAcceptEncoding), "gzip") {
				h.Set(echo.HeaderContentEncoding, "gzip")
				return c.Blob(http.StatusOK, kind, body)
			}
			plain, err := gzip.NewReader(bytes.NewReader(body))
			if err != nil {
				return err
			}
			c.Response().Header().Set(echo.HeaderContentType, kind)
			_, err = io.Copy(c.Response(), plain) //nolint:gosec // our own file
			return err
		})
	}
}
