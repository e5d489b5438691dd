package twofactor_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/internal/fuzzbound"
	"github.com/npmauth/npmauth/internal/typed"
	"github.com/npmauth/npmauth/policy"
	"github.com/npmauth/npmauth/twofactor"
	"github.com/stretchr/testify/require"
)

// OT-25: each value is tried as one kind.
func TestFormsAreDisjoint(t *testing.T) {
	hex64 := strings.Repeat("0123456789abcdef", 4)
	proof := credential.New("npmo_").Reveal()
	broken := proof[:len(proof)-1] + "!"
	for value, want := range map[string]twofactor.Form{
		"123456":                          twofactor.FormTOTP,
		" \t123456\t ":                    twofactor.FormTOTP,
		"12345678":                        twofactor.FormEmail,
		"1234567890123456":                twofactor.FormTyped,
		hex64:                             twofactor.FormRecovery,
		strings.ToUpper(hex64):            twofactor.FormRecovery,
		strings.Repeat("1", 64):           twofactor.FormRecovery,
		proof:                             twofactor.FormWeb,
		" " + proof:                       twofactor.FormWeb,
		"":                                twofactor.FormInvalid,
		" ":                               twofactor.FormInvalid,
		"12345":                           twofactor.FormInvalid,
		"1234567":                         twofactor.FormInvalid,
		"123 456":                         twofactor.FormTOTP,
		"123-456":                         twofactor.FormTOTP,
		"1234 5678 9012 3456":             twofactor.FormTyped, // as the page shows it
		"1234-5678-9012-3456":             twofactor.FormTyped,
		hex64[:32] + " " + hex64[32:]:     twofactor.FormRecovery,
		"123456 654321":                   twofactor.FormInvalid,
		"123456,654321":                   twofactor.FormInvalid,
		"123456, 65432100":                twofactor.FormInvalid,
		"123,4567":                        twofactor.FormInvalid, // eight bytes
		"-12345":                          twofactor.FormInvalid,
		"+12345":                          twofactor.FormInvalid,
		"0x1234":                          twofactor.FormInvalid,
		"12345a":                          twofactor.FormInvalid,
		"123456\r\n":                      twofactor.FormTOTP,
		"\u00a0123456":                    twofactor.FormTOTP,
		"123456\x00":                      twofactor.FormInvalid,
		"١٢٣٤٥٦":                          twofactor.FormTOTP,
		"１２３　４５６":                         twofactor.FormTOTP,
		"١٢٣":                             twofactor.FormInvalid, // six bytes
		"１２":                              twofactor.FormInvalid, // six bytes
		hex64[:63]:                        twofactor.FormInvalid,
		hex64 + "0":                       twofactor.FormInvalid,
		hex64[:63] + "g":                  twofactor.FormInvalid,
		broken:                            twofactor.FormInvalid,
		proof + "0":                       twofactor.FormInvalid,
		"NPMO_" + proof[5:]:               twofactor.FormInvalid,
		"npmo_" + strings.Repeat("0", 36): twofactor.FormInvalid, // checksum
		"npm_" + proof[5:]:                twofactor.FormInvalid,
		"npms_" + proof[5:]:               twofactor.FormInvalid,
	} {
		assert.Equal(t, want, twofactor.FormOf(value), "%q", value)
	}
}

func TestFormProof(t *testing.T) {
	for f, want := range map[twofactor.Form]policy.Proof{
		twofactor.FormInvalid:  policy.NoProof,
		twofactor.FormTOTP:     policy.ProofTOTP,
		twofactor.FormEmail:    policy.NoProof,
		twofactor.FormTyped:    policy.ProofWeb,
		twofactor.FormRecovery: policy.ProofRecovery,
		twofactor.FormWeb:      policy.ProofWeb,
		twofactor.Form(200):    policy.NoProof,
	} {
		assert.Equal(t, want, f.Proof(), f.String())
	}
	assert.Equal(t, twofactor.FormInvalid, twofactor.Form(0))
	assert.Equal(t, "invalid", twofactor.Form(200).String())
}

// All spellings of a value have its form, and a value has none without the size of one.
func FuzzFormOf(f *testing.F) {
	for _, seed := range []string{"123456", "123-456", "1234 5678 9012 3456", strings.Repeat("a1", 32), credential.New("npmo_").Reveal(), "npmo_", "\u0661\u0662\u0663456", "12345678"} {
		f.Add(seed)
	}
	sizes := map[twofactor.Form]int{twofactor.FormTOTP: 6, twofactor.FormEmail: 8, twofactor.FormTyped: 16, twofactor.FormRecovery: 64, twofactor.FormWeb: 41}
	f.Fuzz(func(t *testing.T, value string) {
		value = value[:min(len(value), 512)] // which is more than any value has; longer ones are made of it
		fuzzbound.Check(t, value, fuzzbound.Bounds{Memory: fuzzbound.Limit{Base: 1 << 10, PerByte: 16}}, func(value string) int { twofactor.FormOf(value); return 0 })
		form, code := twofactor.FormOf(value), typed.Code(value)
		require.Equal(t, form, twofactor.FormOf(code))
		require.Equal(t, form, twofactor.FormOf(" "+strings.Join(strings.Split(value, ""), "-")))
		if form != twofactor.FormInvalid {
			require.Len(t, code, sizes[form])
		}
	})
}
