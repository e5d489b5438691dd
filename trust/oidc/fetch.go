package oidc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	fetchTime  = 5 * time.Second // for both documents of an issuer
	maxBody    = 512 << 10       // bytes of a document: 64 keys with chains of certificates are less
	maxHeaders = 64 << 10        // bytes
)

// newClient returns what fetches keys.
func newClient(from *http.Client) *http.Client {
	client := new(http.Client)
	if from != nil {
		*client = *from
	} else if transport, ok := http.DefaultTransport.(*http.Transport); ok {
		transport = transport.Clone()
		transport.MaxResponseHeaderBytes = maxHeaders
		client.Transport = transport
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	client.Jar = nil
	return client
}

// get fetches what an issuer publishes.
func (s *source) get(ctx context.Context, i *issuer) (p published, err error) {
	defer func() {
		if recover() != nil { // a transport of the host's: it must not end the process
			p, err = published{}, errors.New("fetching them panicked")
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	// OpenID Connect Discovery 1.0, section 4.1: without the slash at the end of a path.
	data, _, err := s.document(ctx, strings.TrimSuffix(i.url, "/")+"/.well-known/openid-configuration")
	if err != nil {
		return published{}, err
	}
	meta, ok := object(data)
	if !ok {
		return published{}, errors.New("the configuration is not a JSON object")
	}
	// A configuration of another issuer would lend its keys to this one.
	if said, ok := str(meta["issuer"]); !ok || said != i.url {
		return published{}, errors.New("the configuration is another issuer's")
	}
	text, ok := str(meta["jwks_uri"])
	keys, err := url.Parse(text)
	if !ok || err != nil || keys.Scheme != i.base.Scheme || keys.Host != i.base.Host || keys.User != nil {
		return published{}, errors.New("jwks_uri is not at the host of the issuer")
	}
	data, header, err := s.document(ctx, text)
	if err != nil {
		return published{}, err
	}
	if p.keys, err = parseKeys(data); err != nil {
		return published{}, err
	}
	p.fresh = s.freshness(header)
	return p, nil
}

// document fetches one document. What its Content-Type is does not matter: only JSON of the right shape counts.
func (s *source) document(ctx context.Context, from string) ([]byte, http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Accept-Encoding", "identity") // and nothing is decompressed
	res, err := s.client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("%s is answered with %d", from, res.StatusCode)
	}
	if encoding := res.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") || res.Uncompressed {
		return nil, nil, fmt.Errorf("%s is answered compressed", from)
	}
	data, err := io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	if err != nil {
		return nil, nil, err
	}
	if len(data) > maxBody {
		return nil, nil, fmt.Errorf("%s is longer than %d bytes", from, maxBody)
	}
	return data, res.Header, nil
}

// freshness returns how long keys are fresh: what the issuer says, or less.
func (s *source) freshness(header http.Header) time.Duration {
	for _, line := range header.Values("Cache-Control") {
		for directive := range strings.SplitSeq(line, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
			if !strings.EqualFold(name, "max-age") {
				continue
			}
			seconds, err := strconv.ParseUint(value, 10, 31)
			if err != nil {
				continue
			}
			return min(time.Duration(seconds)*time.Second, s.refreshAfter)
		}
	}
	return s.refreshAfter
}
