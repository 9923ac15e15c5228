package api

// Row is one row of the route table.
type Row struct {
	Method, Path string
	Admin        bool
}

// Routes is the route table.
func Routes() []Row {
	var rows []Row
	for _, r := range (&Server{}).routes() {
		rows = append(rows, Row{r.method, "/api/v1" + r.path, r.admin})
	}
	return rows
}
