package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// served: what is public is.
var served = []string{"200"}

// largestManifest is about the largest that the example takes of a version.
const largestManifest = 500 << 10

// versions of this size are about the largest package that the example takes. Tests have fewer.
var versions = 23

// publishLargest gives each publisher a package as large as can be.
func publishLargest(ctx context.Context, base string, s *scene) error {
	for i, token := range s.Publisher {
		for v := range versions {
			name, version := largest(i), fmt.Sprintf("1.0.%d", v)
			edit := func(manifest map[string]any) { manifest["readme"] = strings.Repeat("word ", largestManifest/5) }
			if err := publish(home, token, name, version, edit, packed(name, version)).must(ctx, base, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

func largest(i int) string { return fmt.Sprintf("largest-%d", i%publishers) }

// readLargest is AU-27. Every second reader is slow.
func readLargest(ctx context.Context, t *target, i int) (string, error) {
	c := call{from: mixed(i), method: http.MethodGet, path: largest(i)}
	req, err := c.request(ctx, t.Base)
	if err != nil {
		return "", err
	}
	res, err := c.from.client().Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	if i%2 == 0 {
		_, err = io.Copy(io.Discard, res.Body)
	} else {
		err = readSlowly(ctx, res.Body)
	}
	if ctx.Err() != nil {
		err = nil // it was answered, and the attack is over
	}
	return strconv.Itoa(res.StatusCode), err
}

func readSlowly(ctx context.Context, r io.Reader) error {
	for {
		_, err := io.CopyN(io.Discard, r, 64<<10)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// searches are those of somebody else meanwhile.
var searches = extra{name: "search", every: 50 * time.Millisecond, do: func(ctx context.Context, base string, _ *scene, _, i int) error {
	return call{from: home, method: http.MethodGet, path: fmt.Sprintf("-/v1/search?text=package&from=%d", i%3)}.must(ctx, base, nil)
}}
