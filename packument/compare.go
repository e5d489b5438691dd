package packument

import (
	"slices"

	"github.com/npmauth/npmauth/policy"
)

// The codes of a [ChangeError].
const (
	CodeDocument = "bad-document" // the document can be no change that npm makes: HTTP's 400
	CodeConflict = "conflict"     // it was made from another revision: HTTP's 409
)

// A ChangeError says why a document that is sent back is refused.
type ChangeError struct {
	Code     string // one of the codes above
	Sentence string // for the person at the terminal; it repeats nothing of the document
}

// Error returns the sentence, with the package's name before it.
func (e *ChangeError) Error() string { return "packument: " + e.Sentence }

// ErrStale is the error for a document that was made from another revision than there is now.
var ErrStale = &ChangeError{CodeConflict, "The package has changed since you read it. Try again."}

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
	errNothingLeft  = badDocument("has no versions: unpublish the package as a whole")
)

// A State is what a registry has of a package now.
type State struct {
	Revision    string            // "" where the registry has none, and then every document is of it
	Versions    map[string]string // deprecation messages by version, "" for none
	Tags        map[string]string // versions by dist-tag
	Maintainers []string          // names, in any order
}

// A Change is what a document that is sent back changes, and nothing else of it counts. What
// the Action does not change is its zero value.
type Change struct {
	// Action is Deprecate, Unpublish, WriteOwners or Star. A document that changes nothing is a
	// Deprecate: npm sends it for a message that is there already.
	Action policy.Action

	// Revision is the one that the change was made from, "" where the sender named none.
	Revision string

	Deprecated  map[string]string // with Deprecate: messages by version, "" takes one away
	Removed     []string          // with Unpublish: the versions that go, sorted
	Tags        map[string]string // with Unpublish: the dist-tags that move with them, "" removes one
	Maintainers []string          // with WriteOwners: the names of all who maintain it from now on
	Starred     bool              // with Star: whether the sender's star is there from now on
}

// SetRevision has the document be of the revision that a path /<pkg>/-rev/<rev> names, and is
// an error, a [*ChangeError], if the document names another one. It does nothing with "" and
// with undefined, which npm writes where a document has none.
func (d *Document) SetRevision(rev string) error {
	if rev == "" || rev == "undefined" {
		return nil
	}
	if d.Revision != "" && d.Revision != rev {
		return errTwoRevisions
	}
	d.Revision = rev
	return nil
}

// Star reports whether the document stars the package or takes the star away, so that
// [Compare] needs no State.
func (d Document) Star() bool { return d.Partial && d.Users }

// Compare returns the one thing in which doc differs from what there is now. A document that
// changes several things at once is refused, so that nobody hides a change of owners in a
// deprecation, and so is one that no operation of npm's sends. An error is a [*ChangeError];
// with it only the Action is set, for a log, as far as it could be told.
//
// A Partial document needs no more of the State than its Revision.
func Compare(now State, doc Document) (Change, error) {
	c := Change{Revision: doc.Revision}
	if doc.Star() {
		c.Action, c.Starred = policy.Star, doc.Starred
		return c, nil
	}
	if now.Revision != "" && doc.Revision != "" && doc.Revision != now.Revision {
		return Change{}, ErrStale
	}
	if doc.Partial {
		if len(doc.Maintainers) == 0 {
			return Change{Action: policy.WriteOwners}, errNobody
		}
		c.Action, c.Maintainers = policy.WriteOwners, doc.Maintainers
		return c, nil
	}
	if err := c.compare(now, doc); err != nil {
		return Change{Action: c.Action}, err
	}
	return c, nil
}

// compare compares a whole document.
func (c *Change) compare(now State, doc Document) (err error) {
	if doc.Versions == nil {
		return errNothing
	}
	for v, message := range doc.Versions {
		was, exists := now.Versions[v]
		if !exists {
			return errAddsVersion
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
	if doc.Maintainers != nil && !sameNames(doc.Maintainers, now.Maintainers) {
		c.Maintainers = doc.Maintainers
	}
	if c.Tags, err = moved(c.Removed, now, doc); err != nil {
		return err
	}
	changed := 0
	c.Action = policy.Deprecate
	for _, is := range []struct {
		action policy.Action
		so     bool
	}{
		{policy.Deprecate, c.Deprecated != nil}, {policy.Unpublish, c.Removed != nil}, {policy.WriteOwners, c.Maintainers != nil},
	} {
		if is.so {
			changed++
			c.Action = is.action
		}
	}
	switch {
	case changed > 1:
		return errTwoChanges
	case c.Removed != nil && len(doc.Versions) == 0:
		return errNothingLeft
	case c.Maintainers != nil && len(c.Maintainers) == 0:
		return errNobody
	}
	return nil
}

// moved returns the dist-tags that move because the versions they name go, and refuses
// all other moves. Where the document has no tags, those go with their versions.
func moved(removed []string, now State, doc Document) (map[string]string, error) {
	tags := map[string]string{}
	for tag, was := range now.Tags {
		goes := slices.Contains(removed, was)
		to, stays := doc.Tags[tag]
		_, left := doc.Versions[to]
		switch {
		case !goes && (doc.Tags == nil || stays && to == was):
		case !goes, stays && !left:
			return nil, errMovesTags
		default:
			tags[tag] = to // "" where it goes, too
		}
	}
	for tag, to := range doc.Tags {
		if _, was := now.Tags[tag]; was {
			continue
		}
		// npm names a latest when it takes a version away and there is none.
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

func sameNames(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}
