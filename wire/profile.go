package wire

import (
	"encoding/json"
	"net/http"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/internal/strictjson"
	"github.com/npmauth/npmauth/protocol"
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

// A TwoFactorRequest is what a [ProfileRequest] says about the second factor: that it is
// enrolled, changed or removed, or that an enrolment is confirmed.
type TwoFactorRequest struct {
	Confirms bool              // an enrolment, with Code: the other fields are zero then
	Code     credential.Secret // as typed

	Mode     protocol.TwoFactorMode // that it is enrolled with or set to; TwoFactorOff removes it
	Password credential.Secret      // of the account
}

// TwoFactor reads what the request says about the second factor, nil if it is about something
// else. npm changes it by itself: together with anything else it is an [*Error].
func (q ProfileRequest) TwoFactor() (*TwoFactorRequest, error) {
	bad := func(code, sentence string) (*TwoFactorRequest, error) {
		return nil, &Error{Status: http.StatusBadRequest, Code: code, Sentence: sentence}
	}
	if IsNull(q.TFA) {
		return nil, nil
	}
	for _, other := range []json.RawMessage{q.Password, q.Email, q.FullName, q.Homepage, q.Freenode, q.Twitter, q.GitHub, q.CIDR} {
		if !IsNull(other) {
			return bad("bad-profile-request", "Change two-factor authentication by itself.")
		}
	}
	if q.TFA[0] == '[' {
		var codes []string
		if err := strictjson.Unmarshal(q.TFA, &codes); err != nil {
			return nil, badJSON(err)
		}
		if len(codes) != 1 {
			return bad("bad-profile-request", "Send one code of your authenticator app.")
		}
		return &TwoFactorRequest{Confirms: true, Code: credential.NewSecret(codes[0])}, nil
	}
	var change struct {
		Mode     string `json:"mode"`
		Password string `json:"password"`
	}
	if err := strictjson.Unmarshal(q.TFA, &change); err != nil {
		return nil, badJSON(err)
	}
	mode := protocol.TwoFactorOff
	if change.Mode != "disable" {
		if err := mode.UnmarshalText([]byte(change.Mode)); err != nil || mode != protocol.AuthOnly && mode != protocol.AuthAndWrites {
			return bad("bad-mode", "The mode must be auth-only, auth-and-writes or disable.")
		}
	}
	return &TwoFactorRequest{Mode: mode, Password: credential.NewSecret(change.Password)}, nil
}
