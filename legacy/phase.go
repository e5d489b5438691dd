package legacy

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// A Window is a time in which PUT is gone: From is its first instant and Until the first one
// after it.
type Window struct {
	From  time.Time
	Until time.Time
}

// checkWindows returns the brown-outs of cfg in whole seconds, or what is wrong with them.
func checkWindows(cfg Config) ([]Window, error) {
	var windows []Window
	earliest := cfg.Deprecated.Truncate(time.Second)
	if len(cfg.BrownOuts) > 0 && cfg.Deprecated.IsZero() {
		return nil, errors.New("legacy: Config.BrownOuts needs Config.Deprecated")
	}
	for i, w := range cfg.BrownOuts {
		w = Window{w.From.Truncate(time.Second), w.Until.Truncate(time.Second)}
		switch {
		case !w.From.Before(w.Until):
			return nil, fmt.Errorf("legacy: Config.BrownOuts[%d] ends before it begins", i)
		case w.From.Before(earliest):
			return nil, fmt.Errorf("legacy: Config.BrownOuts[%d] begins before Config.Deprecated or the end of the one before", i)
		case !cfg.Sunset.IsZero() && w.Until.After(cfg.Sunset):
			return nil, fmt.Errorf("legacy: Config.BrownOuts[%d] ends after Config.Sunset", i)
		}
		windows, earliest = append(windows, w), w.Until
	}
	return windows, nil
}

// Open reports whether a PUT at now is served: it is not while [Config.Off] is set, in a brown-out
// and from the sunset on.
func (h *Handler) Open(now time.Time) bool { return h.refused(now) == nil }

// refused returns why a PUT at now is not served, nil if it is.
func (h *Handler) refused(now time.Time) error {
	switch w, ok := h.next(now); {
	case h.cfg.Off:
		return ErrOff
	case !h.cfg.Sunset.IsZero() && !now.Before(h.cfg.Sunset):
		return ErrSunset
	case ok && !now.Before(w.From):
		return &Error{http.StatusGone, "legacy-login-brown-out", "Logging in with a password at this address is off until " + minute(w.Until) +
			", as announced. " + h.ends() + useWeb}
	}
	return nil
}

// next returns the brown-out that now is in, or the next one.
func (h *Handler) next(now time.Time) (Window, bool) {
	for _, w := range h.cfg.BrownOuts {
		if now.Before(w.Until) {
			return w, true
		}
	}
	return Window{}, false
}

// notice returns what npm is to print with the answer to a PUT at now, "" if nothing is
// announced.
func (h *Handler) notice(now time.Time) string {
	if (h.cfg.Deprecated.IsZero() || now.Before(h.cfg.Deprecated)) && h.cfg.Sunset.IsZero() {
		return ""
	}
	text := "Logging in with a password at this address is deprecated. "
	if w, ok := h.next(now); ok {
		text += "It is off from " + minute(w.From) + " until " + minute(w.Until) + ". "
	}
	text += h.ends() + useWeb
	if h.cfg.Docs != "" {
		text += " - see " + h.cfg.Docs
	}
	return text
}

// Schedule returns what is announced at now, in sentences about PUT that begin with "It": every
// brown-out that is not over, and the end. It is "" if nothing is.
func (h *Handler) Schedule(now time.Time) string {
	switch {
	case h.cfg.Off:
		return "It is switched off."
	case !h.cfg.Sunset.IsZero() && !now.Before(h.cfg.Sunset):
		return "It ended on " + minute(h.cfg.Sunset) + "."
	}
	text := ""
	for _, w := range h.cfg.BrownOuts {
		if now.Before(w.Until) {
			text += "It is off from " + minute(w.From) + " until " + minute(w.Until) + ". "
		}
	}
	return strings.TrimSuffix(text+h.ends(), " ")
}

const useWeb = "Use: npm login --auth-type=web"

// ends returns the sentence about the end, with a space behind it, "" if none is set.
func (h *Handler) ends() string {
	if h.cfg.Sunset.IsZero() {
		return ""
	}
	return "It ends on " + minute(h.cfg.Sunset) + ". "
}

// minute writes t as people read it, to the minute, or to the second if it has some.
func minute(t time.Time) string {
	if t.Second() != 0 {
		return t.UTC().Format("2006-01-02 15:04:05 UTC")
	}
	return t.UTC().Format("2006-01-02 15:04 UTC")
}
