package packument

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"hash"
	"slices"
	"strings"

	"github.com/npmauth/npmauth/internal/manifest"
	"github.com/npmauth/npmauth/internal/strictjson"
	"github.com/npmauth/npmauth/internal/tarball"
)

// tentative is how many bytes of a tarball's base64 are hashed before it is known whether the
// hashes will be compared.
const tentative = 32 << 10

// A content reads the first tarball among the attachments of a publish, as far as it must be
// checked.
type content struct {
	unpack bool            // the package.json in it is checked
	hash   bool            // its bytes are compared with the hashes in the manifest
	done   <-chan struct{} // closed when nobody waits for the check any more

	begun  bool // the data has begun
	whole  bool // and was read to its end
	reader *tarball.Checker
	packed tarball.Content // once whole

	hashes  [algorithms]hash.Hash // those that may be needed
	text    tarball.Decoder       // decodes for them, where no reader does
	fault   error                 // of text
	read    int                   // bytes of text, while hash is off
	dropped bool                  // there were too many of them: hashes are not complete
}

// stream returns the function to call with the data of the attachment at path, nil for none. If
// the body turns out to have another tarball, it is refused for having two. The hashes of the
// manifest are final if it was read before.
func (c *content) stream(path []strictjson.Step, stated *statement, final bool) func([]byte) error {
	if c.begun || !isTarballData(path) {
		return nil
	}
	c.begun = true
	c.hashes = newHashes(stated, final)
	if !c.unpack {
		return c.decode
	}
	c.reader = tarball.New()
	c.reader.Also(c.sum)
	c.reader.Until(c.done)
	return func(piece []byte) error {
		_, err := c.reader.Write(piece)
		return err
	}
}

// decode hashes a piece of the text, while that may be needed. Malformed text is only an error
// if the hashes are compared.
func (c *content) decode(piece []byte) error {
	if !c.hash && !c.dropped {
		if c.read += len(piece); c.read > tentative {
			c.dropped, c.hashes, c.text = true, [algorithms]hash.Hash{}, tarball.Decoder{}
		}
	}
	if !c.dropped && c.fault == nil {
		c.fault = c.text.Decode(piece, func(p []byte) error { c.sum(p); return nil })
	}
	return nil
}

func isTarballData(path []strictjson.Step) bool {
	return len(path) == 3 && path[0].Key == "_attachments" && strings.HasSuffix(path[1].Key, ".tgz") && path[2].Key == "data"
}

// newHashes returns the hashes that may be needed.
func newHashes(stated *statement, final bool) (hashes [algorithms]hash.Hash) {
	for a, makes := range [algorithms]func() hash.Hash{sha1.New, sha256.New, sha512.New384, sha512.New} {
		if !final || stated.needs(algorithm(a)) {
			hashes[a] = makes()
		}
	}
	return hashes
}

// sum hashes a piece of the tarball.
func (c *content) sum(piece []byte) {
	for _, h := range c.hashes {
		if h != nil {
			_, _ = h.Write(piece) // never fails
		}
	}
}

// end is called at the end of an attachment's data.
func (c *content) end(path []strictjson.Step) (err error) {
	if !c.begun || c.whole || !isTarballData(path) {
		return nil
	}
	if c.reader != nil {
		c.packed, err = c.reader.Close()
	} else if c.fault == nil {
		c.fault = c.text.Close()
	}
	c.whole = err == nil
	return err
}

func (c *content) abort() {
	if c.reader != nil {
		c.reader.Abort()
	}
}

// check compares the tarball with the manifest.
func (c *content) check(published manifest.Manifest, stated *statement) error {
	holds := c.hash && stated.String() != ""
	if (c.unpack || holds) && !c.whole {
		return refuse("the body has a tarball that was not read")
	}
	if c.unpack {
		if err := manifest.Compare(published, c.packed.Manifest, &c.packed.Files); err != nil {
			return err
		}
	}
	if !holds {
		return nil
	}
	if c.fault != nil {
		return c.fault
	}
	return stated.check(func(a algorithm) string { return string(c.hashes[a].Sum(nil)) })
}

var errNotStated = refuse("the tarball is not the one that the manifest's integrity states")

// needs reports whether a hash is compared.
func (s *statement) needs(a algorithm) bool {
	return s.integrity != "" && a == s.strongest || s.shasum != "" && a == sha1Sum
}

// check compares both the integrity and the shasum, if there are both: clients differ in which
// they use. Of several sums of the strongest algorithm one must match.
func (s *statement) check(sum func(algorithm) string) error {
	if s.integrity != "" && !slices.Contains(s.sums, sum(s.strongest)) || s.shasum != "" && s.shasum != sum(sha1Sum) {
		return errNotStated
	}
	return nil
}
