package api

import (
	"embed"
	"io/fs"
	"net/http"

	"github.com/labstack/echo/v4"
)

// pages is the dashboard; it works without internet.
//
//go:embed web
var pages embed.FS

// dashboard serves the page at / and its files beside it.
func dashboard(e *echo.Echo) {
	root, err := fs.Sub(pages, "web")
	if err != nil {
		panic(err) // the folder is part of the program
	}
	files := http.FileServerFS(root)
	for _, path := range []string{"/", "/app.js", "/style.css", "/favicon.svg"} {
		e.GET(path, echo.WrapHandler(noCache(files)))
	}
}

// noCache has the browser ask each time: a new version must show at once.
func noCache(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-cache")
		next.ServeHTTP(w, r)
	})
}
