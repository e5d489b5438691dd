package protocol_test

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/npmauth/npmauth/protocol"
)

// full returns a Change in which every field is set.
func full(t testing.TB) protocol.Change {
	t.Helper()
	day, mail, mode, require, approvals := 24*time.Hour, "alice@acme.test", protocol.FactorOnly, true, uint8(2)
	c := protocol.Change{
		Version: "1.2.3", Integrity: "sha512-AAAA", Access: "public", Attachments: []string{"widget-1.2.3.tgz"},
		Tags: map[string]string{"latest": "1.2.3"}, Deprecated: map[string]string{"1.0.0": "no"}, Removed: []string{"0.1.0"}, Tarballs: []string{"0.2.0"},
		Maintainers: []string{"alice", "bob"}, AddedOwners: []string{"bob"}, RemovedOwners: []string{"carol"}, Starred: true, PublishMode: &mode, KeysOnly: &require, PublishersOnly: &require,
		StageOnly: &require, Approvals: &approvals, OtherApprover: &require,
		Revision: "3-a", Body: "00ff", Member: "dave", Role: protocol.OrgAdmin, Team: "devs", Permission: protocol.ReadWrite, Removes: true, RequireFactor: &require,
		Token: &protocol.TokenSpec{
			Name: "ci", Description: "for CI", Grants: []protocol.Grant{{Target: protocol.AllPackages, Permission: protocol.ReadWrite}},
			Bypass: true, CIDRs: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, Days: 30, Until: time.Unix(1, 0),
		},
		Grace: &day, Email: &mail, Profile: map[string]string{"fullname": "Alice"}, Password: "mac", TwoFactor: protocol.AuthOnly, Confirms: true, Factor: protocol.FactorKey, Name: "blue",
		Publisher: map[string]string{"repository": "acme/widget"}, Also: map[string]string{"11111111-1111-4111-8111-111111111111": "acme@1.0.0"},
	}
	everyFieldIsSet(t, reflect.ValueOf(c))
	return c
}

// everyFieldIsSet fails for a field that this test does not know yet.
func everyFieldIsSet(t testing.TB, v reflect.Value) {
	t.Helper()
	for i := range v.NumField() {
		require.False(t, v.Field(i).IsZero(), "%v.%s is new: give it a value here, and a place in Digest, Words and Recorded", v.Type(), v.Type().Field(i).Name)
	}
}

// mutations calls fn with c after each way to change one value in it, and restores it.
func mutations(path string, v reflect.Value, fn func(path string)) {
	with := func(name string, next reflect.Value) {
		old := reflect.New(v.Type()).Elem()
		old.Set(v)
		v.Set(next)
		fn(path + name)
		v.Set(old)
	}
	switch v.Kind() {
	case reflect.String:
		with(" longer", reflect.ValueOf(v.String()+"x").Convert(v.Type()))
		with(" empty", reflect.Zero(v.Type()))
	case reflect.Bool:
		with(" not", reflect.ValueOf(!v.Bool()).Convert(v.Type()))
	case reflect.Int, reflect.Int64:
		with(" more", reflect.ValueOf(v.Int()+1).Convert(v.Type()))
	case reflect.Uint8:
		other := v.Uint() + 1
		if other > 2 {
			other = 1
		}
		with(" other", reflect.ValueOf(other).Convert(v.Type()))
	case reflect.Pointer:
		with(" nil", reflect.Zero(v.Type()))
		next := reflect.New(v.Type().Elem())
		next.Elem().Set(v.Elem())
		old := v.Interface()
		v.Set(next)
		mutations(path, next.Elem(), fn)
		v.Set(reflect.ValueOf(old))
	case reflect.Map:
		with(" nil", reflect.Zero(v.Type()))
		with(" empty", reflect.MakeMap(v.Type()))
		for _, change := range []func(m map[string]string){
			func(m map[string]string) { m["more"] = "more" },
			func(m map[string]string) { m["more"] = "" },
			func(m map[string]string) {
				for k := range m {
					m[k] += "x"
				}
			},
			func(m map[string]string) {
				for k := range m {
					m[k] = ""
				}
			},
		} {
			m := map[string]string{}
			for k, s := range v.Interface().(map[string]string) {
				m[k] = s
			}
			change(m)
			with(fmt.Sprintf(" %v", m), reflect.ValueOf(m))
		}
	case reflect.Slice:
		with(" nil", reflect.Zero(v.Type()))
		with(" twice", reflect.AppendSlice(v, v))
		if v.Type().Elem().Kind() == reflect.String {
			with(" empty", reflect.MakeSlice(v.Type(), 0, 0))
			with(" more", reflect.Append(reflect.AppendSlice(reflect.Zero(v.Type()), v), reflect.ValueOf("more")))
			with(" another", reflect.ValueOf([]string{"another"}))
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			with(" later", reflect.ValueOf(v.Interface().(time.Time).Add(time.Nanosecond)))
			with(" zero", reflect.Zero(v.Type()))
			return
		}
		for i := range v.NumField() {
			mutations(path+"."+v.Type().Field(i).Name, v.Field(i), fn)
		}
	default:
		panic(path)
	}
}

// unbound are the fields that the digest does not cover: a retry may have others.
var unbound = []string{".Revision", ".Attachments"}

func isUnbound(path string) bool {
	for _, field := range unbound {
		if strings.HasPrefix(path, field) {
			return true
		}
	}
	return false
}

var publish = protocol.Operation{Action: protocol.Publish, Package: protocol.PackageName{Scope: "acme", Name: "widget"}}

// AU-10: no field can change without the digest, nor without the lines of the page.
func TestDigestAndWordsFollowEveryField(t *testing.T) {
	c := full(t)
	everyFieldIsSet(t, reflect.ValueOf(*c.Token))
	digest, said := c.Digest(publish), fmt.Sprint(c.Words(publish))
	digests, words, n := map[protocol.Digest]string{digest: "unchanged"}, map[string]string{said: "unchanged"}, 0
	mutations("", reflect.ValueOf(&c).Elem(), func(path string) {
		if isUnbound(path) {
			assert.Equal(t, digest, c.Digest(publish), path)
			return
		}
		n++
		d, w := c.Digest(publish), fmt.Sprint(c.Words(publish))
		assert.Empty(t, digests[d], "%s has the digest of another", path)
		digests[d] = path
		assert.Empty(t, words[w], "%s has the words of another", path)
		words[w] = path
	})
	assert.Greater(t, n, 80)
	assert.Equal(t, digest, c.Digest(publish), "the mutations left it as it was")
}

// The same for small changes, which have nothing else to distinguish them.
func TestWordsOfSmallChanges(t *testing.T) {
	digests, words := map[protocol.Digest]string{}, map[string]protocol.Digest{}
	whole := full(t)
	v := reflect.ValueOf(whole)
	for i := range v.NumField() {
		for _, a := range protocol.Actions() {
			var c protocol.Change
			field := reflect.ValueOf(&c).Elem().Field(i)
			field.Set(v.Field(i))
			op := protocol.Operation{Action: a, Package: publish.Package}
			check := func(path string) {
				if isUnbound(path) {
					return
				}
				d := c.Digest(op)
				if _, seen := digests[d]; seen {
					return // the zero Change
				}
				digests[d] = path
				w := a.String() + fmt.Sprint(c.Words(op))
				assert.True(t, words[w].IsZero(), "%v: %s says what another says: %s", a, path, w)
				words[w] = d
			}
			check("." + v.Type().Field(i).Name)
			mutations("."+v.Type().Field(i).Name, field, check)
		}
	}
}

// Every name in the path is bound and shown, except a revision.
func TestDigestIsOfTheOperation(t *testing.T) {
	var c protocol.Change
	op := protocol.Operation{
		Action: protocol.Unpublish, Package: publish.Package, Version: "1.0.0", Tag: "next", User: "bob", Org: "acme", Team: "devs",
		Service: "ci", Revision: "1-a", ID: "x", Token: "k",
	}
	everyFieldIsSet(t, reflect.ValueOf(op))
	digest, said := c.Digest(op), fmt.Sprint(c.Words(op))
	v := reflect.ValueOf(&op).Elem()
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		mutations("."+name, v.Field(i), func(path string) {
			assert.Equal(t, name == "Revision", digest == c.Digest(op), path)
			if name != "Action" && name != "Package" { // which the page shows itself
				assert.Equal(t, name == "Revision", said == fmt.Sprint(c.Words(op)), path)
			}
		})
	}
}

// Sets have no order, and the same list in two fields is different.
func TestDigestOfSets(t *testing.T) {
	a := protocol.Change{AddedOwners: []string{"a", "b"}}
	b := protocol.Change{AddedOwners: []string{"b", "a"}}
	assert.Equal(t, a.Digest(publish), b.Digest(publish))
	assert.Equal(t, []string{"b", "a"}, b.AddedOwners, "hashing sorts a copy")
	for _, other := range []protocol.Change{
		{AddedOwners: []string{"ab"}}, {AddedOwners: []string{"a"}, RemovedOwners: []string{"b"}}, {RemovedOwners: []string{"a", "b"}}, {}, {AddedOwners: []string{}},
	} {
		assert.NotEqual(t, a.Digest(publish), other.Digest(publish))
	}
	var none *protocol.Change
	assert.Equal(t, none.Digest(publish), (&protocol.Change{}).Digest(publish))
	assert.Equal(t, none.Words(publish), (&protocol.Change{}).Words(publish))
}

func TestDigestText(t *testing.T) {
	d := (&protocol.Change{}).Digest(publish)
	for _, want := range []protocol.Digest{d, {}} {
		text, err := want.MarshalText()
		require.NoError(t, err)
		got := protocol.Digest{1}
		require.NoError(t, got.UnmarshalText(text))
		assert.Equal(t, want, got)
	}
	for _, bad := range []string{"x", d.String()[1:], d.String() + "00", strings.Repeat("g", 64)} {
		got := d
		require.Error(t, got.UnmarshalText([]byte(bad)))
		assert.True(t, got.IsZero())
	}
}

// A page is bounded, and shows a fingerprint for what it omits.
func TestWordsAreBounded(t *testing.T) {
	var c protocol.Change
	for i := range 1000 {
		c.AddedOwners = append(c.AddedOwners, fmt.Sprintf("user-%03d", i))
	}
	size := func(lines []protocol.Line) (n int) {
		for _, l := range lines {
			n += len(l.Label) + len(l.Text)
		}
		return n
	}
	one := c.Words(publish)
	assert.LessOrEqual(t, size(one), protocol.MaxWords)
	assert.Equal(t, "Fingerprint of all of it", one[len(one)-1].Label)
	c.AddedOwners[999] = "zoe"
	two := c.Words(publish)
	assert.Equal(t, one[:len(one)-1], two[:len(two)-1])
	assert.NotEqual(t, one[len(one)-1], two[len(two)-1])
	assert.Len(t, two[len(two)-1].Text, 16)

	long := protocol.Change{Deprecated: map[string]string{"1.0.0": strings.Repeat("é", 4000) + "\x00\u202e"}}
	for _, l := range long.Words(publish) {
		assert.NotContains(t, l.Text, "\x00")
		assert.NotContains(t, l.Text, "\u202e")
		assert.LessOrEqual(t, len(l.Text), 515)
	}
	assert.LessOrEqual(t, size(long.Words(publish)), protocol.MaxWords)
}

// CS-06: nothing is in the words that nobody sees, so that no two of them look the same for it.
func TestWordsShowEverything(t *testing.T) {
	publish := protocol.Operation{Action: protocol.Publish, Package: protocol.PackageName{Name: "plain"}}
	c := protocol.Change{Version: "1.0.0", Tags: map[string]string{"la\u202ete\ufe0fs\U000e0141t\u3164\u2800 \u200b\x00": "1.0.0"}}
	var all []string
	for _, l := range c.Words(publish) {
		all = append(all, l.Text)
	}
	assert.Contains(t, strings.Join(all, "\n"), "la\ufffdte\ufffds\ufffdt\ufffd\ufffd \ufffd\ufffd")
}

// AU-10: what a token could do at worst is on the page, however long its lists are, and what is
// not on it is counted.
func TestWordsOfLongLists(t *testing.T) {
	var spec protocol.TokenSpec
	for i := range 50 {
		name := protocol.PackageName{Name: fmt.Sprintf("%s-%d", strings.Repeat("a", 200), i)}
		spec.Grants = append(spec.Grants, protocol.Grant{Target: protocol.OnePackage, Package: name, Permission: protocol.ReadOnly})
		spec.CIDRs = append(spec.CIDRs, netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 32))
	}
	spec.Grants = append(spec.Grants, protocol.Grant{Target: protocol.OneOrg, Scope: "acme", Permission: protocol.ReadWrite})
	spec.Name, spec.Description, spec.Bypass, spec.Days = strings.Repeat("n", 600), strings.Repeat("d", 600), true, 90
	c := protocol.Change{Token: &spec}
	lines := c.Words(protocol.Operation{Action: protocol.CreateToken})
	for _, want := range []protocol.Line{
		{Label: "It bypasses the second factor"}, {Label: "It ends", Text: "in 90 days"}, {Label: "It may", Text: "read-write on org acme"},
	} {
		assert.Contains(t, lines, want)
	}
	shown, size := 0, 0
	for _, l := range lines {
		size += len(l.Label) + len(l.Text)
		if l.Label == "It may" || l.Label == "It can be used from" || l.Label == "Described as" {
			shown++
		}
	}
	assert.LessOrEqual(t, size, protocol.MaxWords)
	assert.Equal(t, protocol.Line{Label: "Lines that are not shown", Text: fmt.Sprint(51 + 50 + 1 - shown)}, lines[len(lines)-2])
	assert.Equal(t, "Fingerprint of all of it", lines[len(lines)-1].Label)
}

// AU-10: a browser shows white space of any length as one space.
func TestWordsOfWhiteSpace(t *testing.T) {
	seen := map[string]string{}
	for _, message := range []string{"do not use", "do  not use", "do not  use", " do not use", "do not use ", "do\u00a0not use", "do\u2003not use"} {
		c := protocol.Change{Deprecated: map[string]string{"1.0.0": message}}
		var said []string
		for _, l := range c.Words(publish) {
			said = append(said, l.Label, strings.Join(strings.Fields(l.Text), " "))
		}
		assert.Empty(t, seen[fmt.Sprint(said)], "%q", message)
		seen[fmt.Sprint(said)] = message
	}
}

// npm unpublish is a document and then the removal of a tarball. It has no other follow-up.
func TestFollowUps(t *testing.T) {
	op := protocol.Operation{Action: protocol.Unpublish, Package: publish.Package}
	c := protocol.Change{Removed: []string{"1.0.0", "2.0.0"}, Tags: map[string]string{"latest": "0.1.0"}}
	of := func(v string) protocol.Digest {
		return (&protocol.Change{Tarballs: []string{v}}).Digest(protocol.Operation{Action: protocol.Unpublish, Package: publish.Package, Version: v})
	}
	assert.Equal(t, []protocol.Digest{of("1.0.0"), of("2.0.0")}, c.FollowUps(op))
	for name, other := range map[string]protocol.Operation{
		"another action": {Action: protocol.Deprecate, Package: publish.Package},
		"the tarball":    {Action: protocol.Unpublish, Package: publish.Package, Version: "1.0.0"},
	} {
		assert.Empty(t, c.FollowUps(other), name)
	}
	var none *protocol.Change
	assert.Empty(t, none.FollowUps(op))
	assert.Empty(t, (&protocol.Change{Removed: make([]string, 17)}).FollowUps(op))
}

func TestRecorded(t *testing.T) {
	c := full(t)
	r := c.Recorded()
	said := fmt.Sprintf("%+v %+v %q", *r, *r.Token, *r.Email)
	for _, private := range []string{"alice@acme.test", "Alice", "for CI", "mac", "widget-1.2.3.tgz", `"no"`, ":no"} {
		assert.NotContains(t, said, private)
	}
	for _, public := range []string{"1.2.3", "sha512-AAAA", "latest", "0.1.0", "bob", "carol", "dave", "devs", "fullname", "1.0.0", "acme/widget"} {
		assert.Contains(t, said, public)
	}
	assert.Equal(t, full(t), c, "it is a copy")
	asked := protocol.Change{Token: &protocol.TokenSpec{Name: "CI\n" + strings.Repeat("n", 64<<10)}} // no name that a token may have
	assert.Regexp(t, "^CI\ufffdn{507}…$", asked.Recorded().Token.Name)
	var none *protocol.Change
	assert.Nil(t, none.Recorded())
}

func TestEmpty(t *testing.T) {
	var none *protocol.Change
	assert.False(t, none.Empty(), "nothing is known")
	assert.True(t, (&protocol.Change{Revision: "1-a"}).Empty())
	assert.False(t, (&protocol.Change{Removed: []string{}}).Empty())
}

func ExampleChange_Words() {
	op := protocol.Operation{Action: protocol.WriteOwners, Package: protocol.PackageName{Name: "widget"}}
	c := protocol.Change{AddedOwners: []string{"bob"}, RemovedOwners: []string{"alice"}, Maintainers: []string{"bob", "carol"}}
	for _, line := range c.Words(op) {
		fmt.Println(line.Label, line.Text)
	}
	// Output:
	// Adds owner bob
	// Removes owner alice
	// Owner from then on bob
	// Owner from then on carol
}
