package strictjson_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/internal/fuzzbound"
	"github.com/npmauth/npmauth/internal/strictjson"
)

type inner struct {
	Mode string `json:"mode"`
}

// days is a number of days or a date, as a body of ours has it.
type days struct{ text string }

func (d *days) UnmarshalJSON(b []byte) error {
	if string(b) == `"never"` {
		return &strictjson.Error{Problem: "must be days or a date", Field: "until", Offset: -1}
	}
	d.text = string(b)
	return nil
}

type body struct {
	Name     *string           `json:"name"`
	Password string            `json:"password"`
	ReadOnly bool              `json:"readonly"`
	Expires  int               `json:"expires"`
	Ratio    float64           `json:"ratio"`
	Scopes   []string          `json:"scopes"`
	CIDRs    []netip.Prefix    `json:"cidr_whitelist"`
	TFA      *inner            `json:"tfa,omitempty"`
	Many     []inner           `json:"many"`
	Tags     map[string]string `json:"tags"`
	Any      any               `json:"any"`
	Raw      json.RawMessage   `json:"raw"`
	Until    days              `json:"until"`
	Key      []byte            `json:"key"`
	Hidden   string            `json:"-"`
}

func TestUnmarshal(t *testing.T) {
	var got body
	require.NoError(t, strictjson.Unmarshal([]byte(` {"name":"a\u00e9\ud83d\ude00","password":"p","readonly":true,"expires":30,"ratio":1.5,
		"scopes":["@acme"],"cidr_whitelist":["10.0.0.0/8"],"tfa":{"mode":"m"},"many":[{"mode":"n"}],"tags":{"latest":"1","LATEST2":"2"},
		"any":{"x":[1,null]},"raw":[null,{"A":1}],"until":{"y":[]},"key":"AQI="} `), &got))
	assert.Equal(t, body{
		Name: new("aé😀"), Password: "p", ReadOnly: true, Expires: 30, Ratio: 1.5,
		Scopes: []string{"@acme"}, CIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
		TFA: &inner{"m"}, Many: []inner{{"n"}}, Tags: map[string]string{"latest": "1", "LATEST2": "2"},
		Any: map[string]any{"x": []any{1.0, nil}}, Raw: json.RawMessage(`[null,{"A":1}]`),
		Until: days{`{"y":[]}`}, Key: []byte{1, 2},
	}, got)
}

// DESIGN's reading of JB-06: npm sends name: null for no name, and the struct says
// so with a pointer. Nothing else may be null.
func TestUnmarshalNull(t *testing.T) {
	var got body
	require.NoError(t, strictjson.Unmarshal([]byte(`{"name":null,"tfa":null,"any":null,"raw":null}`), &got))
	assert.Nil(t, got.Name)
	assert.Nil(t, got.TFA)
	for _, field := range []string{"password", "readonly", "expires", "ratio", "scopes", "many", "tags", "key", "cidr_whitelist"} {
		refused(t, `{"`+field+`":null}`, field)
	}
	refused(t, `null`, "must be an object")
}

func TestUnmarshalRefuses(t *testing.T) {
	for _, tt := range []struct{ id, in, says string }{
		{"JB-01", `{"readonly":true,"readonly":false}`, "duplicate key"},
		{"JB-01 in a nested object", `{"tfa":{"mode":"a","mode":"a"}}`, "duplicate key"},
		{"JB-01 where nobody looks", `{"any":{"a":{"b":1,"b":1}}}`, "duplicate key"},
		{"JB-02", `{"name":"bob","NAME":"alice"}`, "duplicate key"},
		{"JB-02 alone", `{"NAME":"alice"}`, `field "name" is written in another case`},
		{"JB-02 nested", `{"tfa":{"Mode":"x"}}`, `field "tfa.mode" is written in another case`},
		{"JB-03", `{"name":"a","na\u006de":"b"}`, "duplicate key"},
		{"JB-04 long s", `{"pa` + "\u017f\u017f" + `word":"x"}`, `field "password" is written in another case`},
		{"JB-04 long s escaped", `{"pa\u017f\u017fword":"x"}`, `field "password" is written in another case`},
		{"JB-04 beside it", `{"password":"y","pa\u017f\u017fword":"x"}`, "duplicate key"},
		{"JB-04 Kelvin", `{"` + "\u212a" + `ey":""}`, `field "key" is written in another case`},
		{"JB-05", `{"name":"a"}{"name":"b"}`, "data after the end"},
		{"JB-05 garbage", `{"name":"a"} x`, "data after the end"},
		{"JB-06 string", `{"readonly":"true"}`, `field "readonly" must be true or false`},
		{"JB-06 number", `{"readonly":1}`, `field "readonly" must be true or false`},
		{"JB-06 array", `{"readonly":[]}`, `field "readonly" must be true or false`},
		{"JB-06 object", `{"readonly":{}}`, `field "readonly" must be true or false`},
		{"JB-06 string for array", `{"scopes":"@acme"}`, `field "scopes" must be an array`},
		{"JB-06 in array", `{"scopes":["@acme",null]}`, `field "scopes[]" must be a string`},
		{"JB-06 in map", `{"tags":{"latest":1}}`, `field "tags[]" must be a string`},
		{"JB-06 in array of objects", `{"many":[{"mode":1}]}`, `field "many[].mode" must be a string`},
		{"JB-06 text", `{"cidr_whitelist":[10]}`, `field "cidr_whitelist[]" must be a string`},
		{"JB-06 top", `[]`, "the body must be an object"},
		{"JB-07 lone high", `{"name":"\ud800"}`, "unpaired surrogate"},
		{"JB-07 lone low", `{"name":"\udc00"}`, "unpaired surrogate"},
		{"JB-07 high high", `{"name":"\ud800\ud800"}`, "unpaired surrogate"},
		{"JB-07 high then another", `{"name":"\ud800\u0041"}`, "unpaired surrogate"},
		{"JB-07 high then text", `{"name":"\ud800x"}`, "unpaired surrogate"},
		{"JB-07 raw", "{\"name\":\"\xff\"}", "invalid UTF-8"},
		{"JB-07 raw where nobody looks", "{\"any\":\"\xc0\xaf\"}", "invalid UTF-8"},
		{"JB-08", strings.Repeat("[", 20_000), "the body must be an object"},
		{"JB-08 where nobody looks", `{"any":` + strings.Repeat("[", 20_000), "nested too deep"},
		{"JB-13 huge", `{"ratio":1e400}`, `field "ratio" is not a number in range`},
		{"JB-13 beyond int", `{"expires":9223372036854775808}`, `field "expires" is not a number in range`},
		{"JB-13 fraction", `{"expires":1.5}`, `field "expires" is not a number in range`},
		{"a type's own refusal", `{"cidr_whitelist":["10.0.0.0/08"]}`, "the body has a malformed value"},
		{"a type's own sentence", `{"until":"never"}`, "field \"until\" must be days or a date"},
		{"JB-16", "\ufeff{}", "byte order mark"},
		{"unknown field", `{"user":"x"}`, "the body has a field that is not known here: user"},
		{"unknown nested", `{"tfa":{"user":"x"}}`, `field "tfa" has a field that is not known here: user`},
		{"hidden field", `{"Hidden":"x"}`, "the body has a field that is not known here"},
		{"empty", ``, "unexpected end"},
		{"space", ` `, "unexpected end"},
		{"cut", `{"name":"a"`, "unexpected end"},
	} {
		t.Run(tt.id, func(t *testing.T) { refused(t, tt.in, tt.says) })
	}
}

func refused(t *testing.T, in, says string) {
	t.Helper()
	before := body{Password: "before"}
	got := before
	err := strictjson.Unmarshal([]byte(in), &got)
	require.Error(t, err)
	_, ok := errors.AsType[*strictjson.Error](err)
	assert.True(t, ok, "%T: %v", err, err)
	assert.Contains(t, err.Error(), says)
	assert.Equal(t, before, got, "nothing is set")
}

// What a sender reads never repeats what was sent, apart from a key that looks
// like the name of a field.
func TestErrorsRepeatNoValue(t *testing.T) {
	const secret = "npm_CanaryCanaryCanaryCanaryCanary000000"
	for _, in := range []string{
		`{"readonly":"` + secret + `"}`, `{"` + secret + `":1}`, `{"expires":"` + secret + `"}`, `{"tags":{"` + secret + `":1}}`,
		`{"name":"` + secret, `{"name":"` + secret + `"} ` + secret, `{"` + secret + `":1,"` + secret + `":1}`, secret,
		`{"many":[{"` + secret + `":1}]}`, `{"` + strings.ToLower(secret) + `":1}`, `{"cidr_whitelist":["` + secret + `"]}`,
	} {
		err := strictjson.Unmarshal([]byte(in), &body{})
		require.Error(t, err)
		_, ok := errors.AsType[*strictjson.Error](err)
		assert.True(t, ok, "%T", err)
		assert.NotContains(t, strings.ToLower(err.Error()), "canary", in)
		assert.Less(t, len(err.Error()), 100)
	}
}

func TestUnmarshalRefusesTargets(t *testing.T) {
	type embeds struct{ inner }
	type quoted struct {
		N int `json:",string"`
	}
	for _, v := range []any{nil, body{}, (*body)(nil), new(embeds), new(quoted), new(struct{ C chan int })} {
		err := strictjson.Unmarshal([]byte(`{"C":1}`), v)
		require.Error(t, err, "%T", v)
		_, ok := errors.AsType[*strictjson.Error](err)
		assert.False(t, ok, "%T: a fault of the program is not the sender's", v)
	}
}

func ExampleUnmarshal() {
	var in struct {
		Name     *string `json:"name"`
		ReadOnly bool    `json:"readonly"`
	}
	fmt.Println(strictjson.Unmarshal([]byte(`{"name":null,"readonly":true}`), &in), in.ReadOnly)
	fmt.Println(strictjson.Unmarshal([]byte(`{"readonly":true,"readOnly":false}`), &in))
	// Output:
	// <nil> true
	// invalid JSON: duplicate key at byte 26
}

// FuzzUnmarshal: whatever is accepted means the same to encoding/json.
func FuzzUnmarshal(f *testing.F) {
	for _, seed := range []string{
		`{"name":null,"tfa":{"mode":"m"},"many":[{"mode":"n"}],"tags":{"a":"b"},"any":[{}],"raw":1,"until":2,"expires":3,"key":"AQI="}`,
		`{"Name":"x"}`, `{"scopes":null}`, `{"expires":1e3}`, `{"cidr_whitelist":["::/0"]}`, `{"key":"?"}`, `{"many":[null]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		fuzzbound.Check(t, data, fuzzbound.Bounds{Memory: fuzzbound.Limit{Base: 16 << 10, PerByte: 64}, Work: fuzzbound.Limit{PerByte: 1}}, func(data []byte) int {
			var got body
			_ = strictjson.Unmarshal(data, &got)
			return len(got.Many) + len(got.Tags) + len(got.Raw) + len(got.Key)
		})
		var got, std body
		if strictjson.Unmarshal(data, &got) != nil {
			return
		}
		d := json.NewDecoder(bytes.NewReader(data))
		d.DisallowUnknownFields()
		require.NoError(t, d.Decode(&std))
		require.Equal(t, std, got)
	})
}
