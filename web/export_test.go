package web

// Routes returns the routes as the package's documentation has them: methods and path.
func Routes() (all [][2]string) {
	for _, rt := range routes {
		all = append(all, [2]string{rt.methods, "/-/auth/" + rt.path})
	}
	return all
}
