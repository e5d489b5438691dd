module github.com/npmauth/npmauth/examples

go 1.26.0

require (
	github.com/npmauth/npmauth v0.0.0
	github.com/npmauth/npmauth/store/sqlite v0.0.0
	github.com/stretchr/testify v1.12.1
	modernc.org/sqlite v1.61.1
)

replace (
	github.com/npmauth/npmauth => ..
	github.com/npmauth/npmauth/store/sqlite => ../store/sqlite
)
