package protocol

import "github.com/npmauth/npmauth/internal/words"

// A Class groups the actions for which one second factor may be shown again: a
// code that was spent on one publish serves the next publish of the same command,
// and never a change of owners. The zero value is no class: nothing is shared.
type Class uint8

// The classes.
const (
	ClassNone Class = iota
	ClassLogin
	ClassPublish
	ClassTag
	ClassDeprecate
	ClassUnpublish
	ClassOwners
	ClassAccess
	ClassTeam
	ClassTokenCreate
	ClassTokenRevoke
	ClassTwoFactor
	ClassProfile
	ClassTrust
	ClassStage
)

var classWords = words.List{
	ClassNone: "none", ClassLogin: "login", ClassPublish: "publish", ClassTag: "tag", ClassDeprecate: "deprecate",
	ClassUnpublish: "unpublish", ClassOwners: "owners", ClassAccess: "access", ClassTeam: "team",
	ClassTokenCreate: "token-create", ClassTokenRevoke: "token-revoke", ClassTwoFactor: "two-factor",
	ClassProfile: "profile", ClassTrust: "trust", ClassStage: "stage",
}

// classes has no entry for WritePackument: until its body is known it could be any
// of five classes, and a factor must not be spent on a guess.
var classes = [actions]Class{
	Login: ClassLogin, LegacyLogin: ClassLogin, LegacyUpdate: ClassLogin,
	Publish:    ClassPublish,
	SetDistTag: ClassTag, RemoveDistTag: ClassTag,
	Deprecate: ClassDeprecate,
	Unpublish: ClassUnpublish, UnpublishAll: ClassUnpublish,
	WriteOwners: ClassOwners,
	SetAccess:   ClassAccess,
	WriteOrg:    ClassTeam, WriteTeam: ClassTeam, WriteTeamMember: ClassTeam, GrantTeam: ClassTeam,
	CreateToken:   ClassTokenCreate,
	RevokeToken:   ClassTokenRevoke,
	ManageService: ClassTokenCreate,
	RevokeService: ClassTokenRevoke,
	SetTwoFactor:  ClassTwoFactor,
	WriteProfile:  ClassProfile, SetPassword: ClassProfile,
	// npm trust list is the one read that npm's client answers a challenge for.
	WriteTrust: ClassTrust, ReadTrust: ClassTrust,
	Stage: ClassStage, ApproveStaged: ClassStage, RejectStaged: ClassStage,
}

// Class returns the action's class, ClassNone where a second factor is never
// asked or must not be shared.
func (a Action) Class() Class {
	if a >= actions {
		return ClassNone
	}
	return classes[a]
}

// String returns the class's text.
func (c Class) String() string { return classWords.Text(uint8(c), "Class") }

// MarshalText returns the class's text, or an error for a number that is no class.
func (c Class) MarshalText() ([]byte, error) { return classWords.Marshal(uint8(c), "Class") }

// UnmarshalText sets c to the class of that text. A text that names none is an error.
func (c *Class) UnmarshalText(text []byte) error {
	v, err := classWords.Parse(text, "class")
	*c = Class(v)
	return err
}
