package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
)

// httpGet stands in for curl, which a fresh machine may not have.
func httpGet(url string) error {
	client := http.Client{Timeout: timeout}
	res, err := client.Get(url)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(os.Stdout, res.Body); err != nil {
		return err
	}
	if res.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("%s answered %s", url, res.Status)
	}
	return nil
}
