package leak

import (
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"
)

const (
	maxKeys = 1 << 20 // bytes of a list of keys

	keysAge      = 24 * time.Hour // how long a list is valid
	keysCoolDown = time.Minute    // between two attempts to fetch it
	keysTime     = 10 * time.Second
)

// FetchConfig configures [Fetch].
type FetchConfig struct {
	// URL is where the list of keys is: https, or http on the loopback interface.
	// Required.
	URL string

	// Client fetches the list, without following redirects. Nil means one with the
	// defaults of net/http. Its timeout is ten seconds if it has none.
	Client *http.Client

	// MaxAge is for how long a list is valid. Zero means a day.
	MaxAge time.Duration

	// CoolDown is the least time between two attempts to fetch the list, also if reports name
	// unknown keys. Zero means a minute.
	CoolDown time.Duration

	// Now returns the current time. Nil means time.Now.
	Now func() time.Time
}

// A Fetched is a [Keys] whose keys are published at a URL. Make one with [Fetch].
type Fetched struct {
	cfg    FetchConfig
	client http.Client

	turn chan struct{} // capacity one: a goroutine that sent to it fetches

	mu    sync.Mutex
	keys  map[string]*ecdsa.PublicKey // guarded by mu
	since time.Time                   // when keys was fetched, zero: never; guarded by mu
	tried time.Time                   // guarded by mu
}

// Fetch returns the keys that are listed at cfg.URL, in the form in which GitHub lists
// them, or an error that names the field of cfg that is wrong. It fetches nothing yet.
func Fetch(cfg FetchConfig) (*Fetched, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Host == "" || u.User != nil {
		return nil, errors.New("leak: FetchConfig.URL is required and must be a URL without a password")
	}
	if local := u.Hostname() == "localhost" || u.Hostname() == "127.0.0.1" || u.Hostname() == "::1"; u.Scheme != "https" && !(u.Scheme == "http" && local) {
		return nil, errors.New("leak: FetchConfig.URL must be https: a changed list can have any credential revoked")
	}
	if cfg.MaxAge < 0 || cfg.CoolDown < 0 {
		return nil, errors.New("leak: FetchConfig.MaxAge and CoolDown must not be negative")
	}
	if cfg.MaxAge == 0 {
		cfg.MaxAge = keysAge
	}
	if cfg.CoolDown == 0 {
		cfg.CoolDown = keysCoolDown
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	f := &Fetched{cfg: cfg, turn: make(chan struct{}, 1)}
	if cfg.Client != nil {
		f.client = *cfg.Client
	}
	if f.client.Timeout == 0 {
		f.client.Timeout = keysTime
	}
	f.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return f, nil
}

// Key implements [Keys]. It fetches the list when there is no valid list, or none that has the
// key, but not before the cool-down is over; until then a key that is not listed is
// [ErrSignature], and any key is an outage if no list is valid.
func (f *Fetched) Key(ctx context.Context, id string) (*ecdsa.PublicKey, error) {
	if key, ok := f.known(id); ok {
		return key, nil
	}
	select {
	case f.turn <- struct{}{}:
		defer func() { <-f.turn }()
	case <-ctx.Done():
		return nil, fmt.Errorf("leak: waiting for the list of keys: %w", ctx.Err())
	}
	if key, ok := f.known(id); ok { // another goroutine has fetched it meanwhile
		return key, nil
	}
	if !f.mayTry() {
		return nil, f.missing()
	}
	keys, err := f.fetch(ctx)
	if err != nil {
		return nil, fmt.Errorf("leak: keys: %w", err)
	}
	f.mu.Lock()
	f.keys, f.since = keys, f.cfg.Now()
	f.mu.Unlock()
	if key := keys[id]; key != nil {
		return key, nil
	}
	return nil, ErrSignature
}

// known returns the key if it is on a valid list.
func (f *Fetched) known(id string) (*ecdsa.PublicKey, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := f.keys[id]
	return key, key != nil && f.good()
}

// good reports whether there is a list that is young enough. The caller has locked mu.
func (f *Fetched) good() bool {
	age := f.cfg.Now().Sub(f.since)
	return !f.since.IsZero() && age >= 0 && age < f.cfg.MaxAge
}

// mayTry reports whether the list may be fetched now, and if so counts it as tried.
func (f *Fetched) mayTry() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.cfg.Now()
	if since := now.Sub(f.tried); !f.tried.IsZero() && since >= 0 && since < f.cfg.CoolDown {
		return false
	}
	f.tried = now
	return true
}

// missing returns the error for a key that is unknown while the list may not be fetched.
func (f *Fetched) missing() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.good() {
		return ErrSignature
	}
	return errors.New("leak: there is no list of keys at the moment")
}

// fetch reads the list. It skips keys that are not current, and those of another kind, which
// may have other purposes.
func (f *Fetched) fetch(ctx context.Context) (map[string]*ecdsa.PublicKey, error) {
	// A stranger who disconnects must not keep the list from all others.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), f.client.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.cfg.URL, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	res, err := f.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the list of keys is answered with %d", res.StatusCode)
	}
	data, err := io.ReadAll(io.LimitReader(res.Body, maxKeys+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxKeys {
		return nil, errors.New("the list of keys is too long")
	}
	var list struct {
		Keys []struct {
			ID      string `json:"key_identifier"`
			Key     string `json:"key"`
			Current bool   `json:"is_current"`
		} `json:"public_keys"`
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, errors.New("the list of keys is not one")
	}
	keys := make(map[string]*ecdsa.PublicKey)
	for _, k := range list.Keys {
		if key, err := ParseKey([]byte(k.Key)); err == nil && k.Current && k.ID != "" {
			keys[k.ID] = key
		}
	}
	return keys, nil
}
