package protocol

// A UserID identifies an account for ever. It is never given to another account, not even when
// the name is; rights belong to it and not to the name. A host whose users have no such ID must
// create one (a row number, a UUID).
type UserID string

// A PackageID identifies a package for ever: a package that is deleted and created anew under
// its name has another one. "" is a package that does not exist.
type PackageID string

// An OrgID identifies an organization for ever, even if another organization has its name
// later. "" is an organization that does not exist.
type OrgID string
