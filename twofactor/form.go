package twofactor

import (
	"strings"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/internal/typed"
	"github.com/npmauth/npmauth/policy"
)

// A Form is the format of a presented value, which says what kind of proof it can be. No value has
// two. The zero value is [FormInvalid].
type Form uint8

// The forms.
const (
	FormInvalid  Form = iota
	FormTOTP          // 6 digits: a code of an authenticator app
	FormEmail         // 8 digits: a code sent by mail, which is not issued yet and always refused
	FormTyped         // 16 digits: shown on the page of an approved challenge
	FormRecovery      // 64 hex digits: a recovery code
	FormWeb           // npmo_…: collected by its poll from a challenge that was approved with a code
	FormWebKey        // npmk_…: the same, of a challenge that was approved with a security key
	FormKey           // webauthn.…: what a security key has signed, see [KeyValue]
)

// Each of these begins a web proof. Thirty characters and six of checksum follow, as in a token; the
// prefix is none that a credential has.
const (
	prefixProof    = "npmo_" // of a challenge that was approved with a code
	prefixKeyProof = "npmk_" // or with a security key
)

// FormOf returns the form of a presented value. White space and dashes are ignored, wherever they
// are: apps and the page of a challenge show codes in groups, and people type them so. Digits of
// another script, or in full width, are digits. All spellings of a code are one code for everything
// in this package. A list of two codes has no form. npm sends its header with reads as well, so a
// caller asks for a proof only when it needs one; with [Form.Proof] it can find out beforehand
// whether this kind would do, and leave a recovery code unspent that would not.
func FormOf(value string) Form {
	f, _ := parse(value)
	return f
}

// parse returns the form of value and its one canonical spelling, which is what
// digests are made of.
func parse(value string) (Form, string) {
	if strings.HasPrefix(value, typed.KeyPrefix) { // which nobody types
		if len(value) > typed.MaxKey || len(value) == len(typed.KeyPrefix) {
			return FormInvalid, ""
		}
		return FormKey, value
	}
	v := typed.Code(value)
	for prefix, form := range map[string]Form{prefixProof: FormWeb, prefixKeyProof: FormWebKey} {
		if !strings.HasPrefix(v, prefix) {
			continue
		}
		// Parse knows the shape and checksum of tokens, and looks nothing up.
		if _, ok := credential.Parse(credential.PrefixToken + v[len(prefix):]); ok {
			return form, v
		}
		return FormInvalid, ""
	}
	switch len(v) {
	case 6:
		if only(v, "0123456789") {
			return FormTOTP, v
		}
	case 8:
		if only(v, "0123456789") {
			return FormEmail, v
		}
	case typedSize:
		if only(v, "0123456789") {
			return FormTyped, v
		}
	case 2 * recoverySize:
		// npm's prompt accepts both cases.
		if only(v, "0123456789abcdefABCDEF") {
			return FormRecovery, strings.ToLower(v)
		}
	}
	return FormInvalid, ""
}

func only(s, chars string) bool {
	return strings.Trim(s, chars) == ""
}

// Proof returns the proof that a right value of this form is: NoProof for the forms that are always
// refused.
func (f Form) Proof() policy.Proof {
	switch f {
	case FormTOTP:
		return policy.ProofTOTP
	case FormRecovery:
		return policy.ProofRecovery
	case FormTyped, FormWeb:
		return policy.ProofWeb
	case FormWebKey, FormKey:
		return policy.ProofKey
	default:
		return policy.NoProof
	}
}

// Approval reports whether it is what the page of a challenge hands out.
func (f Form) Approval() bool { return f == FormTyped || f == FormWeb || f == FormWebKey }

// String returns the form in one lower-case word.
func (f Form) String() string {
	switch f {
	case FormTOTP:
		return "totp"
	case FormEmail:
		return "email"
	case FormTyped:
		return "typed"
	case FormRecovery:
		return "recovery"
	case FormWeb:
		return "web"
	case FormWebKey:
		return "web-key"
	case FormKey:
		return "key"
	default:
		return "invalid"
	}
}
