package audit

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/npmauth/npmauth/protocol"
)

// Limits of a row. A byte of text becomes up to six in JSON, so the fixed fields are 20 KiB
// there at most, and all of it stays below store.MaxValue.
const (
	fitID      = 512      // bytes of a user's ID: no account has a longer one that is a key
	fitWord    = 128      // bytes of a type, an accessor, a zone, a detail's name
	fitReasons = 16       // of them
	fitReason  = 64       // bytes
	fitText    = 1 << 10  // bytes of a detail
	fitDetail  = 8 << 10  // bytes of JSON, of all details
	fitChange  = 8 << 10  // bytes of JSON, of the change
	fitGrants  = 24 << 10 // bytes of JSON, of all grants
)

// The times that have an order in the ids of a Log.
var (
	fitFirst = time.Unix(0, 0)
	fitLast  = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
)

// fit returns e as a row can store it and decode it. It changes nothing that e refers to.
func fit(e Event) Event {
	switch e.Time = e.Time.UTC(); {
	case e.Time.Before(fitFirst):
		e.Time = fitFirst.UTC()
	case e.Time.After(fitLast):
		e.Time = fitLast
	}
	e.Type = Type(clip(string(e.Type), fitWord))
	if e.Outcome > Done {
		e.Outcome = Denied // as String says
	}
	e.User, e.By = protocol.UserID(clip(string(e.User), fitID)), protocol.UserID(clip(string(e.By), fitID))
	e.Credential, e.ByCredential = clip(e.Credential, fitWord), clip(e.ByCredential, fitWord)
	if len(e.Addr.Zone()) > fitWord || !utf8.ValidString(e.Addr.Zone()) {
		e.Addr = e.Addr.WithZone("")
	}
	if _, err := e.Action.MarshalText(); err != nil {
		e.Action = protocol.Unknown
	}
	if e.Package.Validate() != nil {
		e.Package = protocol.PackageName{}
	}
	var changes int
	e.Change, changes = fittingChange(e.Change)
	e.Reasons = slices.Clone(e.Reasons[:min(len(e.Reasons), fitReasons)])
	for i := range e.Reasons {
		e.Reasons[i] = clip(e.Reasons[i], fitReason)
	}
	var grants, details int
	e.Grants, grants = fittingGrants(e.Grants)
	e.Detail, details = fittingDetail(e.Detail)
	if omitted := grants + details + changes; omitted > 0 {
		if e.Detail == nil {
			e.Detail = map[string]string{}
		}
		e.Detail["omitted"] = strconv.Itoa(omitted)
	}
	return e
}

// fittingChange returns c, or c without lists if those are too long, and how much is missing.
func fittingChange(c *protocol.Change) (fitting *protocol.Change, omitted int) {
	if c == nil {
		return nil, 0
	}
	fits := func(c *protocol.Change) bool {
		text, err := json.Marshal(c)
		return err == nil && len(text) <= fitChange
	}
	if fits(c) {
		return c, 0
	}
	short := protocol.Change{
		Version: clip(c.Version, fitWord), Integrity: clip(c.Integrity, fitWord), Access: clip(c.Access, fitWord), Starred: c.Starred,
		Member: clip(c.Member, fitWord), Role: c.Role, Team: clip(c.Team, fitWord), Permission: c.Permission, Removes: c.Removes, RequireFactor: c.RequireFactor, KeysOnly: c.KeysOnly, PublishersOnly: c.PublishersOnly,
		StageOnly: c.StageOnly, Approvals: c.Approvals, OtherApprover: c.OtherApprover,
		TwoFactor: c.TwoFactor, Confirms: c.Confirms, Factor: clip(c.Factor, fitWord), Name: clip(c.Name, fitWord),
	}
	if !fits(&short) {
		return nil, 1
	}
	return &short, 1
}

// fittingGrants returns the valid ones of grants, as many as fit, and how many are
// missing.
func fittingGrants(grants []protocol.Grant) (fitting []protocol.Grant, omitted int) {
	left := fitGrants
	for _, g := range grants {
		text, err := g.MarshalJSON()
		if err != nil || len(text)+1 > left {
			omitted++
			continue
		}
		left -= len(text) + 1
		fitting = append(fitting, g)
	}
	return fitting, omitted
}

// fittingDetail returns as much of detail as fits, and how many are missing.
func fittingDetail(detail map[string]string) (fitting map[string]string, omitted int) {
	left := fitDetail
	for _, name := range slices.Sorted(maps.Keys(detail)) {
		key, value := clip(name, fitWord), clip(detail[name], fitText)
		size := jsonLen(key) + jsonLen(value) + 2
		if _, twice := fitting[key]; twice || size > left {
			omitted++
			continue
		}
		left -= size
		if fitting == nil {
			fitting = make(map[string]string, len(detail))
		}
		fitting[key] = value
	}
	return fitting, omitted
}

func jsonLen(s string) int {
	text, _ := json.Marshal(s)
	return len(text)
}

// clip returns s as valid UTF-8 of at most n bytes, ending in … if that cut it.
func clip(s string, n int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= n {
		return s
	}
	const end = "…"
	n -= len(end)
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + end
}
