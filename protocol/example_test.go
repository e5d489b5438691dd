package protocol_test

import (
	"fmt"

	"github.com/npmauth/npmauth/protocol"
)

func ExampleClassify() {
	for _, request := range [][2]string{
		{"GET", "/@acme%2fwidget"},
		{"PUT", "/@acme/widget/latest"},
		{"DELETE", "/@acme/widget/-/widget-1.0.0.tgz/-rev/3-abc"},
		{"PUT", "/@acme/../widget"},
		{"POST", "/-/something/new"},
	} {
		op, err := protocol.Classify(request[0], request[1])
		fmt.Println(op, err)
	}
	// Output:
	// read-packument @acme/widget <nil>
	// set-dist-tag @acme/widget "latest" <nil>
	// unpublish @acme/widget "1.0.0" "3-abc" <nil>
	// unknown protocol: malformed path: dot segment
	// unknown <nil>
}
