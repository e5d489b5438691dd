package packument_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/packument"
)

func TestSplit(t *testing.T) {
	const body = `{"name":"plain","versions":{"1.0.0":{"name":"plain","big":12345678901234567890,"dist":{"shasum":"x"}},"2.0.0":{"name":"plain"}},` +
		`"_attachments":{"plain-1.0.0.tgz":{"content_type":"application/octet-stream","data":"AAEC","length":3},"plain-1.0.0.sigstore":{"data":"{}"}}}`
	manifest, tarball, err := packument.Split([]byte(body), "1.0.0")
	require.NoError(t, err)
	assert.Equal(t, []byte{0, 1, 2}, tarball)
	text, err := json.Marshal(manifest)
	require.NoError(t, err)
	assert.JSONEq(t, `{"name":"plain","big":12345678901234567890,"dist":{"shasum":"x"}}`, string(text))
	assert.Contains(t, string(text), "12345678901234567890")

	for why, change := range map[string][2]string{
		"no JSON":       {`{"name"`, `{name`},
		"no version":    {`"1.0.0":{`, `"1.0.1":{`},
		"no dist":       {`"dist":{"shasum":"x"}`, `"dist":null`},
		"no tarball":    {`.tgz"`, `.tar"`},
		"no data":       {`"data":"AAEC"`, `"data":null`},
		"no base64":     {`AAEC`, `AAE?`},
		"empty tarball": {`AAEC`, ``},
	} {
		changed := strings.Replace(body, change[0], change[1], 1)
		require.NotEqual(t, body, changed)
		manifest, tarball, err := packument.Split([]byte(changed), "1.0.0")
		var refused *packument.Error
		assert.ErrorAs(t, err, &refused, why)
		assert.Nil(t, manifest, why)
		assert.Nil(t, tarball, why)
	}
	_, _, err = packument.Split([]byte(body), "2.0.0")
	assert.Error(t, err, "another version, which has no dist")
}
