package policy

import "github.com/npmauth/npmauth/protocol"

// The types of package protocol, under the names that they had here.
type (
	Action        = protocol.Action
	Permission    = protocol.Permission
	Target        = protocol.Target
	Grant         = protocol.Grant
	UserID        = protocol.UserID
	PackageID     = protocol.PackageID
	OrgID         = protocol.OrgID
	TwoFactorMode = protocol.TwoFactorMode
	PublishMode   = protocol.PublishMode
	PackageName   = protocol.PackageName
	Operation     = protocol.Operation
	OrgRole       = protocol.OrgRole
	Verbs         = protocol.Verbs
)

// Its constants.
const (
	Unknown           = protocol.Unknown
	Ping              = protocol.Ping
	Search            = protocol.Search
	Audit             = protocol.Audit
	ReadKeys          = protocol.ReadKeys
	Whoami            = protocol.Whoami
	ReadSelf          = protocol.ReadSelf
	Login             = protocol.Login
	LegacyLogin       = protocol.LegacyLogin
	LegacyUpdate      = protocol.LegacyUpdate
	ReadUser          = protocol.ReadUser
	Logout            = protocol.Logout
	ListTokens        = protocol.ListTokens
	CreateToken       = protocol.CreateToken
	RevokeToken       = protocol.RevokeToken
	ReadProfile       = protocol.ReadProfile
	WriteProfile      = protocol.WriteProfile
	SetTwoFactor      = protocol.SetTwoFactor
	SetPassword       = protocol.SetPassword
	AuthPage          = protocol.AuthPage
	ReportLeak        = protocol.ReportLeak
	ReadService       = protocol.ReadService
	ManageService     = protocol.ManageService
	RevokeService     = protocol.RevokeService
	ListStars         = protocol.ListStars
	WriteStars        = protocol.WriteStars
	ReadHooks         = protocol.ReadHooks
	WriteHooks        = protocol.WriteHooks
	ReadOrg           = protocol.ReadOrg
	ListTeams         = protocol.ListTeams
	ListOrgPackages   = protocol.ListOrgPackages
	WriteOrg          = protocol.WriteOrg
	ReadTeam          = protocol.ReadTeam
	ListTeamPackages  = protocol.ListTeamPackages
	WriteTeam         = protocol.WriteTeam
	WriteTeamMember   = protocol.WriteTeamMember
	GrantTeam         = protocol.GrantTeam
	ListPackages      = protocol.ListPackages
	ListStaged        = protocol.ListStaged
	ReadStaged        = protocol.ReadStaged
	ApproveStaged     = protocol.ApproveStaged
	RejectStaged      = protocol.RejectStaged
	ReadPackument     = protocol.ReadPackument
	ReadTarball       = protocol.ReadTarball
	ReadAttestations  = protocol.ReadAttestations
	ReadDistTags      = protocol.ReadDistTags
	SetDistTag        = protocol.SetDistTag
	RemoveDistTag     = protocol.RemoveDistTag
	WritePackument    = protocol.WritePackument
	Publish           = protocol.Publish
	Deprecate         = protocol.Deprecate
	Star              = protocol.Star
	Unpublish         = protocol.Unpublish
	UnpublishAll      = protocol.UnpublishAll
	WriteOwners       = protocol.WriteOwners
	ReadAccess        = protocol.ReadAccess
	SetAccess         = protocol.SetAccess
	ReadVisibility    = protocol.ReadVisibility
	ReadCollaborators = protocol.ReadCollaborators
	Stage             = protocol.Stage
	ReadTrust         = protocol.ReadTrust
	WriteTrust        = protocol.WriteTrust
	ExchangeToken     = protocol.ExchangeToken
	NoAccess          = protocol.NoAccess
	ReadOnly          = protocol.ReadOnly
	ReadWrite         = protocol.ReadWrite
	StageOnly         = protocol.StageOnly
	NoTarget          = protocol.NoTarget
	AllPackages       = protocol.AllPackages
	OnePackage        = protocol.OnePackage
	OneScope          = protocol.OneScope
	OneOrg            = protocol.OneOrg
	TwoFactorUnknown  = protocol.TwoFactorUnknown
	TwoFactorOff      = protocol.TwoFactorOff
	AuthOnly          = protocol.AuthOnly
	AuthAndWrites     = protocol.AuthAndWrites
	FactorOrBypass    = protocol.FactorOrBypass
	FactorOnly        = protocol.FactorOnly
	NoFactor          = protocol.NoFactor
	MaxPackageName    = protocol.MaxPackageName
	NoRole            = protocol.NoRole
	OrgMember         = protocol.OrgMember
	OrgAdmin          = protocol.OrgAdmin
	OrgOwner          = protocol.OrgOwner
	VerbPublish       = protocol.VerbPublish
	VerbStage         = protocol.VerbStage
	VerbDistTag       = protocol.VerbDistTag
	VerbDeprecate     = protocol.VerbDeprecate
	VerbUnpublish     = protocol.VerbUnpublish
	VerbCreate        = protocol.VerbCreate
)

// Its errors.
var (
	ErrPath        = protocol.ErrPath
	ErrGrant       = protocol.ErrGrant
	ErrPackageName = protocol.ErrPackageName
)

// Actions is [protocol.Actions].
func Actions() []Action { return protocol.Actions() }

// Classify is [protocol.Classify].
func Classify(method, escapedPath string) (Operation, error) {
	return protocol.Classify(method, escapedPath)
}

// ParsePackageName is [protocol.ParsePackageName].
func ParsePackageName(s string) (PackageName, error) { return protocol.ParsePackageName(s) }
