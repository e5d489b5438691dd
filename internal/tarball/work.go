package tarball

// A work counts what reading a tarball takes, wherever that can be more than what was sent
// of it: gzip packs up to 1032 times, and a few bytes of pax are a record to parse.
type work struct {
	unpacked   int64 // bytes that gzip made
	headers    int64 // of entries, and of what is about other entries
	attributes int64 // bytes of pax records and of long names
	records    int64 // of pax
	copies     int64 // of package.json
	hashed     int64 // bytes of all copies
	parsed     int64 // bytes of the first
}

// bounds returns how much work a tarball may take by the time that sent bytes of it have been
// read. The shares of what was sent are several times those of any package: JavaScript packs 3
// to 6 times, the emptiest folder of long names some 25 times, and a header alone takes a dozen
// bytes. What comes before the shares is for small tarballs and for those that begin with what
// packs well.
func bounds(sent int64) work {
	return work{
		unpacked:   min(32<<20+64*sent, maxSize),
		headers:    min(16<<10+sent/16, maxEntries),
		attributes: 1<<20 + 8*sent,
		records:    16<<10 + sent/8,
		copies:     16,
		hashed:     2 * maxManifest,
		parsed:     maxManifest,
	}
}

var (
	errSize       = refuse("the tarball is too big unpacked")
	errEntries    = refuse("the tarball has too many entries")
	errAttributes = refuse("the tarball has too many attributes of entries, such as pax records and long names")
	errCopies     = refuse("the tarball has too many package.json")
)

// within returns an error if w is more than the work that bounds allow.
func (w *work) within(most work) error {
	switch {
	case w.unpacked > most.unpacked:
		return errSize
	case w.headers > most.headers:
		return errEntries
	case w.attributes > most.attributes, w.records > most.records:
		return errAttributes
	case w.copies > most.copies, w.hashed > most.hashed:
		return errCopies
	case w.parsed > most.parsed:
		return errBig
	}
	return nil
}
