package wire

import "time"

// A Session is a login in the list of those of an account, which npmauth adds to npm's.
type Session struct {
	Key     string    `json:"key"` // its public ID
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"`
	// Addr is the IP address that it was handed to, "" if that is not known, and UserAgent what the client
	// called itself.
	Addr      string `json:"ip,omitempty"`
	UserAgent string `json:"user_agent"`
	Via       string `json:"via"`     // how the person logged in: web, legacy, or at the pages, browser or host
	Current   bool   `json:"current"` // it is that of the request
}
