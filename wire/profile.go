package wire

import (
	"encoding/json"
	"net/http"

	"github.com/npmauth/npmauth/internal/strictjson"
)

// A ProfileRequest is the body of POST /-/npm/v1/user. npm sends back every
// field that it read along with the one that it changes.
type ProfileRequest struct {
	TFA json.RawMessage `json:"tfa"`

	Email    json.RawMessage `json:"email"`
	FullName json.RawMessage `json:"fullname"`
	Homepage json.RawMessage `json:"homepage"`
	Freenode json.RawMessage `json:"freenode"`
	Twitter  json.RawMessage `json:"twitter"`
	GitHub   json.RawMessage `json:"github"`
	Password json.RawMessage `json:"password"`
	CIDR     json.RawMessage `json:"cidr_whitelist"`
}

// ProfileDetails are new values for the fields of a profile. A nil field does not change.
type ProfileDetails struct {
	Email                                         *string
	FullName, Homepage, Freenode, Twitter, GitHub *string
}

// Details reads the fields of the request. npm sends all of them along with the one that it
// changes, and null for those that are empty.
func (q ProfileRequest) Details() (d ProfileDetails, err error) {
	if !IsNull(q.CIDR) {
		return ProfileDetails{}, &Error{Status: http.StatusBadRequest, Code: "bad-profile-request", Sentence: "Only the operator can set the CIDR ranges of an account."}
	}
	for _, f := range []struct {
		raw json.RawMessage
		to  **string
	}{
		{q.Email, &d.Email}, {q.FullName, &d.FullName}, {q.Homepage, &d.Homepage},
		{q.Freenode, &d.Freenode}, {q.Twitter, &d.Twitter}, {q.GitHub, &d.GitHub},
	} {
		if len(f.raw) == 0 {
			continue
		}
		var text string // stays "" for null
		if !IsNull(f.raw) {
			if err := strictjson.Unmarshal(f.raw, &text); err != nil {
				return ProfileDetails{}, err
			}
		}
		*f.to = &text
	}
	return d, nil
}
