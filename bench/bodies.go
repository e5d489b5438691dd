package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"
)

// refusedBody: what strangers may not send is 401 or, of what is not served, 404; what stands still is
// 408; beyond the memory for bodies it is 503.
var refusedBody = []string{"401", "404", "408", "503", closed}

const (
	largestDocument = 16 << 20               // of which npmauth reads as much
	drip            = 200 * time.Millisecond // between two bytes
)

var filler = bytes.Repeat([]byte("x"), largestDocument)

// unfinished is AU-25: documents of publishers, who own what they send them to, logins that come
// byte by byte, and reports of leaks.
func unfinished(ctx context.Context, t *target, i int) (string, error) {
	from := mixed(i / 4)
	switch i % 4 {
	case 0, 1:
		name, token := ownPackage(i/4), t.Scene.Publisher[i/4%publishers]
		begin := fmt.Sprintf(`{"_id":%q,"name":%q,"readme":"`, name, name)
		// The largest, and smaller ones: where there is no room for the largest there may be for these.
		size := largestDocument>>(i/8%7) - 1024
		return call{from: from, method: http.MethodPut, path: name, bearer: token}.begin(ctx, t, begin, filler[:size], 0)
	case 2:
		return login(from, owner(0), password, "").begin(ctx, t, `{"name":"`, nil, drip)
	}
	report := call{from: from, method: http.MethodPost, path: "-/auth/v1/leaked", header: map[string]string{
		"Github-Public-Key-Identifier": "k", "Github-Public-Key-Signature": "MEUCIQ==",
	}}
	return report.begin(ctx, t, `[{"token":"`, filler[:4<<20], 0)
}

// begin sends the beginning of a body and then nothing, or a byte each time that every has passed,
// and waits for an answer.
func (c call) begin(ctx context.Context, t *target, first string, rest []byte, every time.Duration) (string, error) {
	conn, err := c.dial(ctx, t.Base, len(first)+len(rest)+512)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	go func() { // the answer may come before all is sent
		_, err := (&net.Buffers{[]byte(first), rest}).WriteTo(conn)
		for err == nil && every > 0 {
			time.Sleep(every)
			_, err = conn.Write([]byte("x"))
		}
	}()
	return firstAnswer(ctx, conn)
}

func firstAnswer(ctx context.Context, conn net.Conn) (string, error) {
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err == nil {
		res.Body.Close()
		return strconv.Itoa(res.StatusCode), nil
	}
	if ctx.Err() != nil { // the attack is over
		return held, nil //nolint:nilerr // the connection was there until then
	}
	return closed, nil
}
