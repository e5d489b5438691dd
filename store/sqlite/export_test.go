package sqlite

// Steps are the steps of the schema, for the tests that end on the way.
var Steps = steps[:]
