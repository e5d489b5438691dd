package protocol

// A UserID identifies an account for ever. It is never given to another account,
// not even when the name is; rights hang on it and not on the name. A host whose
// users have no such ID must make one (a row number, a UUID).
type UserID string

// A PackageID identifies a package for ever: a package that is deleted and
// created again under its name has another one. "" is a package that does not
// exist.
type PackageID string

// An OrgID identifies an organization for ever, whoever has its name later. "" is an
// organization that does not exist.
type OrgID string
