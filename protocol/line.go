package protocol

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// A Line is one statement of a page about a Change: "Adds owner", "bob". The text is from the
// request, one line of printable characters, and must be escaped.
type Line struct {
	Label string `json:"label"`
	Text  string `json:"text"`
}

// MaxWords is how many bytes of labels and texts [Change.Words] returns at most.
const MaxWords = 4 << 10

// maxText is how many bytes of one text are shown.
const maxText = 512

// fingerprintSize is how many hex digits of a digest a page shows: 64 bits, so that nobody
// finds a second change with the same fingerprint in the minutes that a page lives.
const fingerprintSize = 16

// Words describes in lines what op would do, for the person who is to prove a second factor for
// it: additions and removals separately. A text that is too long to read is cut, and the last
// lines are then the number of missing lines and a fingerprint of the whole change; so it is for a
// change that contains a secret, a manifest, or white space that a browser does not show. Two
// changes with different digests have different lines. c may be nil.
func (c *Change) Words(op Operation) []Line {
	if c == nil {
		c = &Change{}
	}
	w := &lines{}
	w.operation(op, c)
	w.document(op, c)
	w.organization(c)
	if c.Token != nil {
		w.token(c.Token)
	}
	w.account(c)
	if w.missing > 0 {
		w.all = append(w.all, Line{missingLabel, strconv.Itoa(w.missing)})
	}
	if w.cut || c.Password != "" {
		w.all = append(w.all, Line{"Fingerprint of all of it", c.Digest(op).String()[:fingerprintSize]})
	}
	return w.all
}

// lines collects lines up to the bounds.
type lines struct {
	all     []Line
	size    int
	missing int // lines for which there was no room
	cut     bool
}

const missingLabel = "Lines that are not shown"

// lastLines is how many bytes the last two lines take at most.
const lastLines = len(missingLabel) + len("4294967295") + len("Fingerprint of all of it") + fingerprintSize

func (w *lines) say(label, text string) {
	shown := readable(text)
	// A browser shows white space of any length as one space.
	if shown != text || strings.Join(strings.Fields(shown), " ") != shown {
		w.cut = true
	}
	if w.size+len(label)+len(shown) > MaxWords-lastLines {
		w.cut = true
		w.missing++
		return
	}
	w.size += len(label) + len(shown)
	w.all = append(w.all, Line{label, shown})
}

// readable returns text in printable characters, cut after maxText bytes.
func readable(text string) string {
	shown := printable(text)
	if len(shown) <= maxText {
		return shown
	}
	end := maxText
	for end > 0 && shown[end]&0xc0 == 0x80 {
		end--
	}
	return shown[:end] + "…"
}

// unless adds a line unless text is "".
func (w *lines) unless(label, text string) {
	if text != "" {
		w.say(label, text)
	}
}

// choice adds a line about a setting that is turned on or off, unless it is nil.
func (w *lines) choice(set *bool, on, off string) {
	switch {
	case set == nil:
	case *set:
		w.say(on, "")
	default:
		w.say(off, "")
	}
}

// each adds a line for each name of a list, or one that there are none.
func (w *lines) each(label, none string, names []string) {
	switch {
	case names == nil:
	case len(names) == 0:
		w.say(none, "")
	default:
		for _, name := range slices.Sorted(slices.Values(names)) {
			w.say(label, name)
		}
	}
}

// printable replaces characters that are not printable, and those of which nothing is seen: fillers, and what selects the
// form of the character before it.
func printable(s string) string {
	const brailleBlank = '\u2800'
	return strings.Map(func(r rune) rune {
		if !unicode.IsGraphic(r) || r == brailleBlank || unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) {
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(s, string(unicode.ReplacementChar)))
}

// operation describes what the path names beside the package.
func (w *lines) operation(op Operation, c *Change) {
	w.unless("Version", op.Version)
	w.unless("Dist-tag", op.Tag)
	w.unless("User", op.User)
	w.unless("Organization", op.Org)
	w.unless("Team", op.Team)
	w.unless("Service account", op.Service)
	w.unless("ID", op.ID)
	switch {
	case op.Action == RevokeToken && op.Token == "":
		w.say("Revokes", "all your tokens")
	case op.Action == UnpublishAll:
		w.say("Removes", "the package with all its versions")
	case op.Action == CreateToken || op.Action == ManageService:
		w.unless("Rotates the token", op.Token)
	default:
		w.unless("Token", op.Token)
	}
}

// document describes the change of a package.
func (w *lines) document(op Operation, c *Change) {
	if c.Version != "" && op.Action != SetDistTag {
		w.say("Publishes version", c.Version)
		if c.Integrity == "" {
			w.say("Integrity of the tarball", "none")
		}
	} else {
		w.unless("To version", c.Version)
	}
	w.unless("Integrity of the tarball:", c.Integrity)
	if op.Action == SetAccess {
		w.unless("Makes the package", c.Access)
	} else {
		w.unless("Access, if the package is new", c.Access)
	}
	if c.PublishMode != nil {
		w.say("Publishing takes", publishTakes(*c.PublishMode))
	}
	w.choice(c.KeysOnly, "Lets only security keys count as second factors", "Lets every kind of second factor count")
	w.choice(c.PublishersOnly, "Lets only trusted publishers publish", "Lets people and tokens publish, too")
	w.choice(c.StageOnly, "Lets versions be published only by approving staged ones", "Lets versions be published without being staged, too")
	if c.Approvals != nil {
		w.say("How many people must approve a staged version", approvals(*c.Approvals))
	}
	w.choice(c.OtherApprover, "Lets nobody approve what they have staged", "Lets people approve what they have staged")
	if c.Tags != nil && len(c.Tags) == 0 {
		w.say("Changes no dist-tag", "")
	}
	for _, tag := range slices.Sorted(maps.Keys(c.Tags)) {
		if to := c.Tags[tag]; to == "" {
			w.say("Removes the dist-tag", tag)
		} else {
			w.say("Sets a dist-tag", tag+" to "+to)
		}
	}
	if op.Action == Publish || op.Action == ApproveStaged || op.Action == AddFactor {
		w.cut = w.cut || c.Body != "" // the manifest, which nobody reads here, or a key
	} else {
		w.unless("With a body whose SHA-256 is", c.Body)
	}
	w.deprecated(c.Deprecated)
	w.each("Removes version", "Removes no version", c.Removed)
	w.each("Removes the tarball of version", "Removes no tarball", c.Tarballs)
	w.each("Adds owner", "Adds no owner", c.AddedOwners)
	w.each("Removes owner", "Removes no owner", c.RemovedOwners)
	w.each("Owner from then on", "No owner from then on", c.Maintainers)
	if c.Starred {
		w.say("Stars the package", "")
	}
	w.publisher(op, c.Publisher)
	if c.Also != nil && len(c.Also) == 0 {
		w.say("And no other staged version", "")
	}
	for _, id := range slices.Sorted(maps.Keys(c.Also)) {
		w.say("And the staged version", c.Also[id]+" ("+id+")")
	}
}

// publisher describes a trusted publisher that is added.
func (w *lines) publisher(op Operation, fields map[string]string) {
	if fields == nil {
		return
	}
	if op.Action == WriteOrgTrust {
		w.say("Lets jobs without a token of yours use all packages of the scope", "from then on")
	} else {
		w.say("Lets jobs without a token of yours use the package", "from then on")
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		w.say("Trusted publisher: "+name, fields[name])
	}
}

// deprecated describes which versions get which message.
func (w *lines) deprecated(messages map[string]string) {
	if messages != nil && len(messages) == 0 {
		w.say("Deprecates nothing", "")
	}
	last := ""
	for _, v := range slices.Sorted(maps.Keys(messages)) {
		message := messages[v]
		if message == "" {
			w.say("Removes the deprecation of version", v)
			continue
		}
		w.say("Deprecates version", v)
		if message == last {
			w.say("with the same message", "")
		} else {
			w.say("with the message", message)
		}
		last = message
	}
}

func publishTakes(m PublishMode) string {
	switch m {
	case FactorOrBypass:
		return "a second factor, or a token that bypasses it (mfa=automation)"
	case FactorOnly:
		return "a second factor, and no token stands in for it (mfa=publish)"
	case NoFactor:
		return "no second factor (mfa=none)"
	}
	return m.String()
}

func approvals(n uint8) string {
	if n == 0 {
		return "1, which is the default"
	}
	return strconv.Itoa(int(n))
}

// organization describes who is added to or removed from what.
func (w *lines) organization(c *Change) {
	switch {
	case c.Member != "" && c.Removes:
		w.say("Removes the user", c.Member)
	case c.Member != "":
		w.say("Adds the user", c.Member)
	case c.Removes && c.Factor == "":
		w.say("Removes it", "")
	}
	if c.Role != NoRole {
		w.say("As", c.Role.String())
	}
	w.choice(c.RequireFactor, "Requires a second factor of its members", "Requires no second factor of its members")
	w.unless("Creates the team", c.Team)
	if c.Permission != NoAccess {
		w.say("Gives the permission", c.Permission.String())
	}
}

// token describes what a new token could do, the most dangerous first: a long list must not crowd
// out that it bypasses the second factor, nor what it may only read that it may write.
func (w *lines) token(t *TokenSpec) {
	w.say("Creates a token called", t.Name)
	if t.Bypass {
		w.say("It bypasses the second factor", "")
	}
	switch {
	case t.Days != 0:
		w.say("It ends", fmt.Sprintf("in %d days", t.Days))
	case t.Until.IsZero():
		w.say("It ends", "after the registry's default")
	}
	if !t.Until.IsZero() {
		w.say("It ends", t.Until.UTC().Format(time.RFC3339Nano))
	}
	if len(t.CIDRs) == 0 {
		w.say("It can be used from anywhere", "")
	}
	if len(t.Grants) == 0 {
		w.say("It may do nothing", "")
	}
	var writes, reads []string
	for _, g := range t.Grants {
		if g.Permission == ReadOnly {
			reads = append(reads, g.String())
		} else {
			writes = append(writes, g.String())
		}
	}
	w.each("It may", "", writes)
	w.each("It may", "", reads)
	var ranges []string
	for _, p := range t.CIDRs {
		ranges = append(ranges, p.String())
	}
	w.each("It can be used from", "", ranges)
	w.unless("Described as", t.Description)
}

// account describes the change of an account.
func (w *lines) account(c *Change) {
	if c.Grace != nil {
		w.say("The old token stays valid for", c.Grace.String())
	}
	if c.Email != nil {
		w.say("Sets the e-mail address to", *c.Email)
	}
	if c.Profile != nil && len(c.Profile) == 0 {
		w.say("Changes nothing of the profile", "")
	}
	for _, field := range slices.Sorted(maps.Keys(c.Profile)) {
		w.say("Sets "+field+" to", c.Profile[field])
	}
	if c.Password != "" {
		w.say("Sets a new password", "")
	}
	switch c.TwoFactor {
	case TwoFactorUnknown:
	case TwoFactorOff:
		w.say("Turns two-factor authentication off", "")
	default:
		w.say("Sets two-factor authentication to", c.TwoFactor.String())
	}
	if c.Confirms {
		w.say("Turns two-factor authentication on", "")
	}
	does := "Adds"
	if c.Removes {
		does = "Removes"
	}
	switch c.Factor {
	case "":
		w.unless("Called", c.Name)
	case FactorApp:
		w.say(does+" the authenticator app", c.Name)
	case FactorKey:
		w.say(does+" the security key", c.Name)
	default:
		w.say(does+" a second factor", c.Factor)
		w.unless("Called", c.Name)
	}
}
