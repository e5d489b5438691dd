package tarball

// Work returns what c has counted. It must not be called while Write runs.
func (c *Checker) Work() map[string]int64 {
	return map[string]int64{
		"unpacked": c.work.unpacked, "headers": c.work.headers, "attributes": c.work.attributes, "records": c.work.records,
		"copies": c.work.copies, "hashed": c.work.hashed, "parsed": c.work.parsed,
	}
}

// Slots are what checks that compute have one of.
var Slots = slots
