package web

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/npmauth/npmauth/credential"
	"github.com/npmauth/npmauth/session"
)

// sessions is the page of where an account is logged in.
type sessions struct{ *Pages }

const sessionsPath = "-/auth/v1/sessions"

type sessionsAnswer struct {
	Objects []struct {
		Key       string    `json:"key"`
		Created   time.Time `json:"created"`
		Expires   time.Time `json:"expires"`
		Addr      string    `json:"ip"`
		UserAgent string    `json:"user_agent"`
		Via       string    `json:"via"`
		Current   bool      `json:"current"`
	} `json:"objects"`
	URLs struct {
		Next string `json:"next"`
	} `json:"urls"`
}

// A shownSession is a session as the page shows it.
type shownSession struct {
	Key, Addr, Agent, Via string
	Created, Expires      moment
	Current               bool
}

// A sessionList is what the page shows.
type sessionList struct {
	Sessions []shownSession
	Next     string // path of the next page, "" if there is none
}

func (s sessions) show(ctx context.Context, c caller) (page, error) {
	path := sessionsPath
	if c.r.URL.RawQuery != "" { // of Next
		path += "?" + c.r.URL.Query().Encode()
	}
	var list sessionsAnswer
	if err := c.call(ctx, credential.Secret{}, http.MethodGet, path, nil, &list); err != nil {
		return page{}, err
	}
	factor, err := c.hasFactor(ctx)
	if err != nil {
		return page{}, err
	}
	var all sessionList
	for _, one := range list.Objects {
		all.Sessions = append(all.Sessions, shownSession{
			Key: one.Key, Addr: one.Addr, Agent: printable(one.UserAgent), Via: s.viaText(one.Via), Current: one.Current,
			Created: moment{one.Created, c.v.client.At}, Expires: moment{one.Expires, c.v.client.At},
		})
	}
	if list.URLs.Next != "" {
		all.Next = c.v.path + "?" + query(list.URLs.Next)
	}
	return page{template: "sessions.html", Title: "Sessions", Factor: factor, Data: all}, nil
}

// viaText returns in words how somebody logged in.
func (p *Pages) viaText(via string) string {
	switch via {
	case "browser":
		return "these pages"
	case session.ViaHost:
		return p.cfg.SignIn.name()
	case "web":
		return "npm login, in the browser"
	case "legacy":
		return "a password at the command line"
	}
	return printable(via)
}

func (s sessions) do(ctx context.Context, c caller, form url.Values) (shown, error) {
	decision, key, _ := strings.Cut(form.Get("decision"), ":")
	switch {
	case decision == "end" && validID(key):
		if err := c.call(ctx, codeIn(form), http.MethodDelete, sessionsPath+"/"+key, nil, nil); err != nil {
			return shown{}, err
		}
		return shown{Done: "The session has ended."}, nil
	case decision == "end-others":
		if err := c.call(ctx, codeIn(form), http.MethodDelete, sessionsPath, nil, nil); err != nil {
			return shown{}, err
		}
		return shown{Done: "All other sessions have ended."}, nil
	}
	return shown{}, errMalformed
}
