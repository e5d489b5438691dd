package wire

import (
	"errors"
	"io"
	"net/http"

	"github.com/npmauth/npmauth/internal/header"
	"github.com/npmauth/npmauth/internal/strictjson"
)

// MaxBody is the maximum size of a body for [ReadBody], in bytes. A server that also limits the
// body with [http.MaxBytesReader] closes the connection of a client that sends more.
const MaxBody = 64 << 10

// Answers to bodies that are not read.
var (
	TooLarge   = &Error{Status: http.StatusRequestEntityTooLarge, Code: "body-too-large", Sentence: "The request body is too large."}
	Compressed = &Error{Status: http.StatusUnsupportedMediaType, Code: "bad-encoding", Sentence: "The request body must not be compressed."}

	notJSON = &Error{Status: http.StatusUnsupportedMediaType, Code: "bad-content-type", Sentence: "The request body must be application/json."}
)

// ReadBody reads a body of at most [MaxBody] that must be JSON, or empty. A form that another
// site makes a browser send has another content type. Several Content-Type lines are none. Errors are of type [*Error], or those of
// reading.
func ReadBody(r *http.Request) ([]byte, error) {
	if IsCompressed(r) {
		return nil, Compressed
	}
	if r.ContentLength > MaxBody {
		return nil, TooLarge
	}
	data, err := io.ReadAll(io.LimitReader(r.Body, MaxBody+1))
	if err != nil {
		return nil, err
	}
	if len(data) > MaxBody {
		return nil, TooLarge
	}
	if len(data) == 0 {
		return nil, nil
	}
	if header.MediaType(r.Header) != "application/json" {
		return nil, notJSON
	}
	return data, nil
}

// Decode decodes the body of r, read with [ReadBody], into v. An unknown or repeated field, one of
// another type and an empty body are errors. Errors are an [*Error], or of reading.
func Decode(r *http.Request, v any) error {
	data, err := ReadBody(r)
	if err != nil {
		return err
	}
	return badJSON(strictjson.Unmarshal(data, v))
}

// badJSON returns the answer to JSON that cannot be read, and any other error as it is.
func badJSON(err error) error {
	if bad, ok := errors.AsType[*strictjson.Error](err); ok {
		return &Error{Status: http.StatusBadRequest, Code: "bad-json", Sentence: bad.Error()}
	}
	return err
}

// IsCompressed reports whether the body of r is compressed or encoded in any other way: whether one
// of its Content-Encoding lines names anything but identity. npmauth undoes none: a few bytes could
// become any number.
func IsCompressed(r *http.Request) bool { return header.Encoded(r.Header) }
