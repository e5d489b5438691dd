package wire

import "time"

// An Event is one thing that happened to an account, in the list that npmauth shows to its user.
// Its texts are those of package audit. Fields that do not apply are "" or nil.
type Event struct {
	Time    time.Time `json:"time"`
	Type    string    `json:"type"`
	Outcome string    `json:"outcome"`
	// By is "account" for the account itself, "other" for another one, such as an administrator, and
	// "registry" for those who run the registry, for its own processes, and for what takes no account,
	// as signing up does. "" means that whoever acted was not authenticated.
	By string `json:"by"`
	// Addr is the IP address of who acted.
	Addr       string   `json:"ip,omitempty"`
	Credential string   `json:"credential,omitempty"` // public ID of the session or token that it is about
	Action     string   `json:"action,omitempty"`
	Package    string   `json:"package,omitempty"`
	Reasons    []string `json:"reasons,omitempty"` // codes
	// Detail has what else the user may know: with what somebody logged in, say.
	Detail map[string]string `json:"detail,omitempty"`
}
