package policytest

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/npmauth/npmauth/protocol"
)

// A changeWord is the word for a field of a [protocol.Change], which follows an action.
type changeWord struct {
	word    string
	example string // of a value; "" for a word that has none
	many    bool
	actions []protocol.Action
	values  func(*protocol.Change) []string // one for each time that the word is written
	set     func(c *protocol.Change, value string) error
}

// said stands for text that decides nothing: messages, addresses, what people write about
// themselves. A line says that it is there.
const said = "said"

var changeWords = []changeWord{
	textWord("access", "public", func(c *protocol.Change) *string { return &c.Access }, protocol.Publish, protocol.Stage, protocol.ApproveStaged, protocol.SetAccess),
	mapWord("deprecates", "1.0.0", said, func(c *protocol.Change) *map[string]string { return &c.Deprecated }, protocol.Deprecate),
	mapWord("undeprecates", "1.0.0", "", func(c *protocol.Change) *map[string]string { return &c.Deprecated }, protocol.Deprecate),
	listWord("removes-version", "1.0.0", func(c *protocol.Change) *[]string { return &c.Removed }, protocol.Unpublish),
	listWord("removes-tarball", "1.0.0", func(c *protocol.Change) *[]string { return &c.Tarballs }, protocol.Unpublish),
	pairWord("moves-tag", "latest", "1.0.0", func(c *protocol.Change) *map[string]string { return &c.Tags }, protocol.Unpublish),
	listWord("owner", "alice", func(c *protocol.Change) *[]string { return &c.Maintainers }, protocol.WriteOwners),
	listWord("adds-owner", "bob", func(c *protocol.Change) *[]string { return &c.AddedOwners }, protocol.WriteOwners),
	listWord("removes-owner", "bob", func(c *protocol.Change) *[]string { return &c.RemovedOwners }, protocol.WriteOwners),
	boolWord("starred", func(c *protocol.Change) *bool { return &c.Starred }, protocol.Star),
	textWord("member", "bob", func(c *protocol.Change) *string { return &c.Member }, protocol.WriteOrg, protocol.WriteTeamMember),
	enumWord("role", func(c *protocol.Change) *protocol.OrgRole { return &c.Role }, protocol.OrgMember, protocol.WriteOrg),
	choiceWord("requires-factor", true, requireFactor, protocol.SetOrgFactor),
	choiceWord("requires-no-factor", false, requireFactor, protocol.SetOrgFactor),
	choiceWord("publishers-only", true, publishersOnly, protocol.SetAccess, protocol.SetOrgFactor),
	choiceWord("not-publishers-only", false, publishersOnly, protocol.SetAccess, protocol.SetOrgFactor),
	choiceWord("stage-only", true, stageOnly, protocol.SetAccess, protocol.SetOrgFactor),
	choiceWord("not-stage-only", false, stageOnly, protocol.SetAccess, protocol.SetOrgFactor),
	{
		word: "approvals", example: "2", actions: []protocol.Action{protocol.SetAccess, protocol.SetOrgFactor},
		values: func(c *protocol.Change) []string {
			if c.Approvals == nil {
				return nil
			}
			return []string{strconv.Itoa(int(*c.Approvals))}
		},
		set: func(c *protocol.Change, value string) error {
			c.Approvals = new(uint8)
			return readApprovals(c.Approvals, value)
		},
	},
	choiceWord("other-approver", true, otherApprover, protocol.SetAccess, protocol.SetOrgFactor),
	choiceWord("not-other-approver", false, otherApprover, protocol.SetAccess, protocol.SetOrgFactor),
	{
		word: "any-factor", actions: []protocol.Action{protocol.SetAccess, protocol.SetOrgFactor, protocol.SetTwoFactor},
		values: func(c *protocol.Change) []string {
			if c.KeysOnly == nil || *c.KeysOnly { // which is written /keys-only
				return nil
			}
			return []string{""}
		},
		set: func(c *protocol.Change, _ string) error { c.KeysOnly = new(false); return nil },
	},
	textWord("new-team", "devs", func(c *protocol.Change) *string { return &c.Team }, protocol.WriteTeam),
	enumWord("permission", func(c *protocol.Change) *protocol.Permission { return &c.Permission }, protocol.ReadWrite, protocol.GrantTeam),
	boolWord("removes", func(c *protocol.Change) *bool { return &c.Removes }, protocol.WriteOrg, protocol.WriteTeam, protocol.WriteTeamMember, protocol.GrantTeam, protocol.RemoveFactor, protocol.WriteTrust, protocol.WriteOrgTrust, protocol.RejectStaged),
	pairWord("publisher", "repository", "acme/widget", func(c *protocol.Change) *map[string]string { return &c.Publisher }, protocol.WriteTrust, protocol.WriteOrgTrust),
	pairWord("also", "11111111-1111-4111-8111-111111111111", "gadget@1.0.0", func(c *protocol.Change) *map[string]string { return &c.Also }, protocol.ApproveStaged, protocol.RejectStaged),
	{
		word: "email", actions: []protocol.Action{protocol.WriteProfile},
		values: func(c *protocol.Change) []string {
			if c.Email == nil {
				return nil
			}
			return []string{""}
		},
		set: func(c *protocol.Change, _ string) error { c.Email = new(said); return nil },
	},
	mapWord("profile", "fullname", said, func(c *protocol.Change) *map[string]string { return &c.Profile }, protocol.WriteProfile),
	{
		word: "password", actions: []protocol.Action{protocol.SetPassword},
		values: func(c *protocol.Change) []string {
			if c.Password == "" {
				return nil
			}
			return []string{""}
		},
		set: func(c *protocol.Change, _ string) error { c.Password = said; return nil },
	},
	enumWord("mode", func(c *protocol.Change) *protocol.TwoFactorMode {
		if c.TwoFactor == protocol.TwoFactorOff { // which is written /off
			return new(protocol.TwoFactorUnknown)
		}
		return &c.TwoFactor
	}, protocol.AuthOnly, protocol.SetTwoFactor),
	{
		word: "name", example: "ci", actions: []protocol.Action{protocol.CreateToken, protocol.ManageService},
		values: func(c *protocol.Change) []string {
			if t := c.NewToken(); t != nil && t.Name != "" {
				return []string{t.Name}
			}
			return nil
		},
		set: func(c *protocol.Change, value string) error { newTokenOf(c).Name = value; return nil },
	},
	{
		word: "days", example: "30", actions: []protocol.Action{protocol.CreateToken, protocol.ManageService},
		values: func(c *protocol.Change) []string {
			if t := c.NewToken(); t != nil && t.Days != 0 {
				return []string{strconv.Itoa(t.Days)}
			}
			return nil
		},
		set: func(c *protocol.Change, value string) (err error) {
			if newTokenOf(c).Days, err = strconv.Atoi(value); err != nil {
				return fmt.Errorf("%q is no number of days: write /days=30", value)
			}
			return nil
		},
	},
	textWord("factor", protocol.FactorKey, func(c *protocol.Change) *string { return &c.Factor }, protocol.AddFactor, protocol.RemoveFactor),
	textWord("called", "blue", func(c *protocol.Change) *string { return &c.Name }, protocol.AddFactor, protocol.RemoveFactor),
	boolWord("confirms", func(c *protocol.Change) *bool { return &c.Confirms }, protocol.SetTwoFactor),
}

func requireFactor(c *protocol.Change) **bool  { return &c.RequireFactor }
func publishersOnly(c *protocol.Change) **bool { return &c.PublishersOnly }
func stageOnly(c *protocol.Change) **bool      { return &c.StageOnly }
func otherApprover(c *protocol.Change) **bool  { return &c.OtherApprover }

// choiceWord is the word for one of what a setting that people turn on and off is set to.
func choiceWord(word string, value bool, field func(*protocol.Change) **bool, actions ...protocol.Action) changeWord {
	return changeWord{
		word: word, actions: actions,
		values: func(c *protocol.Change) []string {
			if v := *field(c); v == nil || *v != value {
				return nil
			}
			return []string{""}
		},
		set: func(c *protocol.Change, _ string) error { *field(c) = &value; return nil },
	}
}

func textWord(word, example string, field func(*protocol.Change) *string, actions ...protocol.Action) changeWord {
	return changeWord{
		word: word, example: example, actions: actions,
		values: func(c *protocol.Change) []string {
			return slices.DeleteFunc([]string{*field(c)}, func(v string) bool { return v == "" })
		},
		set: func(c *protocol.Change, value string) error { *field(c) = value; return nil },
	}
}

func listWord(word, example string, field func(*protocol.Change) *[]string, actions ...protocol.Action) changeWord {
	return changeWord{
		word: word, example: example, many: true, actions: actions,
		values: func(c *protocol.Change) []string { return *field(c) },
		set:    func(c *protocol.Change, value string) error { *field(c) = append(*field(c), value); return nil },
	}
}

// mapWord is the word for those keys of a map that have the value.
func mapWord(word, example, value string, field func(*protocol.Change) *map[string]string, actions ...protocol.Action) changeWord {
	return changeWord{
		word: word, example: example, many: true, actions: actions,
		values: func(c *protocol.Change) []string {
			return slices.DeleteFunc(slices.Sorted(maps.Keys(*field(c))), func(key string) bool { return (*field(c))[key] != value })
		},
		set: func(c *protocol.Change, key string) error { put(field(c), key, value); return nil },
	}
}

// pairWord is the word for the keys of a map with their values, after an @.
func pairWord(word, key, value string, field func(*protocol.Change) *map[string]string, actions ...protocol.Action) changeWord {
	return changeWord{
		word: word, example: key + "@" + value, many: true, actions: actions,
		values: func(c *protocol.Change) (all []string) {
			for _, key := range slices.Sorted(maps.Keys(*field(c))) {
				all = append(all, key+"@"+(*field(c))[key])
			}
			return all
		},
		set: func(c *protocol.Change, text string) error {
			key, value, _ := strings.Cut(text, "@")
			put(field(c), key, value)
			return nil
		},
	}
}

func boolWord(word string, field func(*protocol.Change) *bool, actions ...protocol.Action) changeWord {
	return changeWord{
		word: word, actions: actions,
		values: func(c *protocol.Change) []string {
			if !*field(c) {
				return nil
			}
			return []string{""}
		},
		set: func(c *protocol.Change, _ string) error { *field(c) = true; return nil },
	}
}

// enumWord is the word for a value that is not the zero one.
func enumWord[T interface {
	~uint8
	MarshalText() ([]byte, error)
}, P interface {
	*T
	UnmarshalText(text []byte) error
}](word string, field func(*protocol.Change) P, example T, actions ...protocol.Action) changeWord {
	text := func(v T) string {
		t, err := v.MarshalText()
		if err != nil {
			return "" // which is no value, and so refused
		}
		return string(t)
	}
	return changeWord{
		word: word, example: text(example), actions: actions,
		values: func(c *protocol.Change) []string {
			if *field(c) == 0 {
				return nil
			}
			return []string{text(*field(c))}
		},
		set: func(c *protocol.Change, value string) error { return readText(field(c), word, value) },
	}
}

// readApprovals reads a number of approvals.
func readApprovals(to *uint8, value string) error {
	n, err := strconv.ParseUint(value, 10, 8)
	if err != nil {
		return fmt.Errorf("%q is no number of approvals: write approvals=2", value)
	}
	*to = uint8(n)
	return nil
}

func put(m *map[string]string, key, value string) {
	if *m == nil {
		*m = map[string]string{}
	}
	(*m)[key] = value
}

// flag returns the word as it is read.
func (w *changeWord) flag() flag {
	return flag{
		word: w.word, example: w.example, many: w.many,
		fits: func(r *reading) bool { return slices.Contains(w.actions, r.Operation.Action) },
		set: func(r *reading, value string) error {
			var text string
			if err := as(&text, value); err != nil {
				return err
			}
			return w.set(r.change(), text)
		},
	}
}

// write returns the words that c has of an action.
func (w *changeWord) write(a protocol.Action, c *protocol.Change) (s string) {
	if !slices.Contains(w.actions, a) {
		return ""
	}
	for _, value := range w.values(c) {
		s += "/" + w.word
		if w.example != "" {
			s += "=" + escape(value)
		}
	}
	return s
}
