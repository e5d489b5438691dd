package packument

import (
	"errors"
	"slices"

	"github.com/npmauth/npmauth/protocol"
)

// The codes of a [ChangeError].
const (
	CodeDocument = "bad-document" // npm makes no such change: HTTP's 400
	CodeConflict = "conflict"     // it is of another revision: HTTP's 409
)

// A ChangeError says why a changed document is refused.
type ChangeError struct {
	Code     string // one of the codes above
	Sentence string // for the person at the terminal; it quotes nothing of the document
}

// Error returns the sentence, with the package's name before it.
func (e *ChangeError) Error() string { return "packument: " + e.Sentence }

// Answer returns how HTTP answers the error.
func (e *ChangeError) Answer() (status int, code, sentence string) {
	if e.Code == CodeConflict {
		return 409, e.Code, e.Sentence
	}
	return 400, e.Code, e.Sentence
}

// ErrStale is the error for a document of another revision than the present one.
var ErrStale = &ChangeError{CodeConflict, "The package has changed since you read it. Try again."}

// ErrNoRevision is the error for a whole state that does not say which revision it was made from,
// where there are revisions. Whatever its sender did not know of would be undone.
var ErrNoRevision = &ChangeError{CodeConflict, "The request does not say which revision of the package it was made from, so that it could undo what others did. Read the whole document, send its _rev, or use npm."}

// ErrOwnersUnread is the error for a list of owners that was made without the present one, as
// Yarn 1 makes it from an abbreviated document: those it does not name would lose the package.
var ErrOwnersUnread = &ChangeError{CodeConflict, "This list of owners was made without the present one, and would replace it. Use npm owner."}

func badDocument(problem string) *ChangeError {
	return &ChangeError{CodeDocument, "The package document " + problem + "."}
}

var (
	errTwoRevisions = badDocument("names two revisions")
	errNothing      = badDocument("has neither versions nor maintainers nor users alone")
	errTwoChanges   = badDocument("changes more than one thing at once")
	errAddsVersion  = badDocument("has a version that is not published: a new one comes with its tarball")
	errMovesTags    = badDocument("moves dist-tags: use npm dist-tag")
	errNobody       = badDocument("would leave the package to nobody")
	errName         = badDocument("names an owner as nobody can be called")
	errNothingLeft  = badDocument("has no versions: unpublish the package as a whole")
)

// A State is the present state of a package in a registry.
type State struct {
	Revision    string            // "" if the registry has none, and then every document matches
	Versions    map[string]string // deprecation messages by version, "" for none
	Tags        map[string]string // versions by dist-tag
	Maintainers []string          // names, in any order; nil if it is not known
}

// CheckRevision returns nil if rev is the present revision, or the registry has none, and otherwise
// [ErrStale], or [ErrNoRevision] where rev is "" or undefined, which npm writes for none. [Compare]
// calls it; call it for a DELETE of the whole package.
func (s State) CheckRevision(rev string) error {
	switch {
	case s.Revision == "", rev == s.Revision:
		return nil
	case rev == "", rev == noRevision:
		return ErrNoRevision
	}
	return ErrStale
}

// noRevision is what npm and Yarn write into a path for a document without _rev.
const noRevision = "undefined"

// SetRevision sets the revision that a path /<pkg>/-rev/<rev> names, and is an error, a
// [*ChangeError], if the document names another one. It does nothing with "" and with
// undefined, which npm writes for a document without one.
func (d *Document) SetRevision(rev string) error {
	if rev == "" || rev == noRevision {
		return nil
	}
	if d.Revision != "" && d.Revision != rev {
		return errTwoRevisions
	}
	d.Revision = rev
	return nil
}

// Star reports whether the document adds or removes a star, so that [Compare] needs no State.
func (d Document) Star() bool { return d.Partial && d.Users }

// Compare returns the one change of doc from the present state, and its action: Deprecate,
// Unpublish, WriteOwners or Star. Nothing else of the document counts. A document without a
// change is a Deprecate at the present revision, whatever revision it was made from: npm sends it
// for a message that exists already, and when it repeats a request that has succeeded. With users
// it is a Star, since pnpm stars a package by its whole document. Any other
// change but a star must be made from the present revision, if there is one: a document of another
// is [ErrStale], one of none [ErrNoRevision]. A list of owners that does not say what it was made
// from, by _rev or, where there are no revisions, by _id, is [ErrOwnersUnread]. Several changes at
// once are refused, so that nobody hides a change of owners in a deprecation, and so is a change
// that no operation of npm's makes. An error is a [*ChangeError]; the action is returned with it,
// for a log, as far as it is known.
//
// A Partial document needs only the Revision of the State; with its Maintainers, Compare
// returns the added and removed owners.
func Compare(now State, doc Document) (protocol.Action, protocol.Change, error) {
	c := protocol.Change{Revision: doc.Revision}
	if doc.Star() {
		c.Starred = doc.Starred
		return protocol.Star, c, nil
	}
	var action protocol.Action
	var err error
	if doc.Partial {
		action, err = protocol.WriteOwners, owners(&c, now.Maintainers, doc.Maintainers)
	} else {
		action, err = compare(&c, now, doc)
	}
	outdated := now.CheckRevision(doc.Revision)
	switch {
	case err == nil && c.Empty():
		if now.Revision != "" {
			c.Revision = now.Revision
		}
		if doc.Users { // which the State does not have
			c.Starred = doc.Starred
			return protocol.Star, c, nil
		}
		return protocol.Deprecate, c, nil
	case errors.Is(outdated, ErrStale): // so that nothing else of what it differs in is what its sender did
		return protocol.Unknown, protocol.Change{}, ErrStale
	case err != nil:
		return action, protocol.Change{}, err
	case doc.Partial && doc.Revision == "" && (outdated != nil || !doc.HasID):
		return action, protocol.Change{}, ErrOwnersUnread
	case outdated != nil:
		return protocol.Unknown, protocol.Change{}, outdated
	}
	return action, c, nil
}

// owners sets the added and the removed owners. was is nil if it is not known.
func owners(c *protocol.Change, was, is []string) error {
	added := is
	if was != nil {
		added = without(is, was)
		c.RemovedOwners = without(was, is)
		c.AddedOwners = added
	}
	switch {
	case len(is) == 0:
		return errNobody
	case slices.ContainsFunc(added, func(name string) bool { return !protocol.ValidUser(name) }):
		return errName
	case was == nil || c.AddedOwners != nil || c.RemovedOwners != nil:
		c.Maintainers = is
	}
	return nil
}

// without returns those of names that are not in others, sorted; nil for none.
func without(names, others []string) (rest []string) {
	for _, name := range slices.Sorted(slices.Values(names)) {
		if !slices.Contains(others, name) {
			rest = append(rest, name)
		}
	}
	return rest
}

// compare compares a whole document.
func compare(c *protocol.Change, now State, doc Document) (action protocol.Action, err error) {
	if doc.Versions == nil {
		return protocol.Unknown, errNothing
	}
	for v, message := range doc.Versions {
		was, exists := now.Versions[v]
		if !exists {
			return protocol.Unknown, errAddsVersion
		}
		if message != was {
			if c.Deprecated == nil {
				c.Deprecated = map[string]string{}
			}
			c.Deprecated[v] = message
		}
	}
	for v := range now.Versions {
		if _, stays := doc.Versions[v]; !stays {
			c.Removed = append(c.Removed, v)
		}
	}
	slices.Sort(c.Removed)
	if c.Tags, err = moved(c.Removed, now, doc); err != nil {
		return protocol.Unknown, err
	}
	if doc.Maintainers != nil {
		err = owners(c, append([]string{}, now.Maintainers...), doc.Maintainers)
	}
	changed := 0
	for _, is := range []struct {
		action protocol.Action
		so     bool
	}{
		{protocol.Deprecate, c.Deprecated != nil}, {protocol.Unpublish, c.Removed != nil}, {protocol.WriteOwners, err != nil || c.Maintainers != nil},
	} {
		if is.so {
			changed++
			action = is.action
		}
	}
	switch {
	case changed > 1:
		return action, errTwoChanges
	case c.Removed != nil && len(doc.Versions) == 0:
		return action, errNothingLeft
	}
	return action, err
}

// moved returns the dist-tags that move because their versions, in order, are removed, and refuses all
// other moves. If the document has no tags, they are removed with their versions.
func moved(removed []string, now State, doc Document) (map[string]string, error) {
	tags := map[string]string{}
	for tag, was := range now.Tags {
		_, goes := slices.BinarySearch(removed, was)
		to, stays := doc.Tags[tag]
		_, left := doc.Versions[to]
		switch {
		case !goes && (doc.Tags == nil || stays && to == was):
		case !goes, stays && !left:
			return nil, errMovesTags
		default:
			tags[tag] = to // "" if it is removed, too
		}
	}
	for tag, to := range doc.Tags {
		if _, was := now.Tags[tag]; was {
			continue
		}
		// npm sets a latest when it removes a version and there is none.
		if _, left := doc.Versions[to]; tag != "latest" || !left || removed == nil {
			return nil, errMovesTags
		}
		tags[tag] = to
	}
	if len(tags) == 0 {
		return nil, nil
	}
	return tags, nil
}
