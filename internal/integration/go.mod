module github.com/npmauth/npmauth/internal/integration

go 1.26.0

require (
	github.com/creack/pty v1.1.24
	github.com/npmauth/npmauth v0.0.0
	github.com/npmauth/npmauth/examples v0.0.0
	github.com/npmauth/npmauth/store/sqlite v0.0.0
	github.com/pquerna/otp v1.5.0
	github.com/stretchr/testify v1.12.1
	golang.org/x/text v0.43.0
)

require (
	github.com/boombuler/barcode v1.0.1-0.20190219062509-6c824513bacc // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
)

replace (
	github.com/npmauth/npmauth => ../..
	github.com/npmauth/npmauth/examples => ../../examples
	github.com/npmauth/npmauth/store/sqlite => ../../store/sqlite
)

// The program under test, so that its requirements are among ours.
tool github.com/npmauth/npmauth/examples/registry
