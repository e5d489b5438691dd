package wire

import (
	"io"
	"mime"
	"net/http"
	"strings"
)

// MaxBody is how many bytes a request to an endpoint has at most. The server of an endpoint
// limits its body by that, with [http.MaxBytesReader], before [ReadBody].
const MaxBody = 64 << 10

// Answers to bodies that are not read.
var (
	TooLarge   = &Error{Status: http.StatusRequestEntityTooLarge, Code: "body-too-large", Sentence: "The request body is too large."}
	Compressed = &Error{Status: http.StatusUnsupportedMediaType, Code: "bad-encoding", Sentence: "The request body must not be compressed."}

	notJSON = &Error{Status: http.StatusUnsupportedMediaType, Code: "bad-content-type", Sentence: "The request body must be application/json."}
)

// ReadBody reads a body that must be JSON, or empty. A form that another site makes a browser
// send has another content type. Errors are of type [*Error], or those of reading.
func ReadBody(r *http.Request) ([]byte, error) {
	if IsCompressed(r) {
		return nil, Compressed
	}
	if r.ContentLength > MaxBody {
		return nil, TooLarge
	}
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	if len(data) == 0 {
		return nil, nil
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return nil, notJSON
	}
	return data, nil
}

// IsCompressed reports whether the body of r is compressed. npmauth decompresses none: a few
// bytes could become any number.
func IsCompressed(r *http.Request) bool {
	enc := r.Header.Get("Content-Encoding")
	return enc != "" && !strings.EqualFold(enc, "identity")
}
