package packument

import "bytes"

// The sizes of the chunks of [pieces], in bytes: each is as large as all before it, within these.
const (
	minChunk = 512
	maxChunk = 64 << 10
)

// pieces are bytes as they were read, in chunks that are not moved when more come: a buffer that
// grows is there twice.
type pieces struct {
	chunks [][]byte
	taken  int // bytes of the first chunk
	size   int // bytes, without those
	held   int // bytes that are allocated
}

// space returns where the next bytes are to be read, at most maxPiece. They are there when add is
// called.
func (p *pieces) space() []byte {
	n := len(p.chunks)
	if n == 0 || len(p.chunks[n-1]) == cap(p.chunks[n-1]) {
		chunk := make([]byte, 0, min(max(p.size, minChunk), maxChunk))
		p.chunks, p.held, n = append(p.chunks, chunk), p.held+cap(chunk), n+1
	}
	last := p.chunks[n-1]
	return last[len(last):min(len(last)+maxPiece, cap(last))]
}

// add makes the first n bytes of space part of p.
func (p *pieces) add(n int) {
	last := &p.chunks[len(p.chunks)-1]
	*last = (*last)[:len(*last)+n]
	p.size += n
}

// cut removes what comes after the first n bytes and returns it. It must have been added last.
func (p *pieces) cut(n int) []byte {
	last := &p.chunks[len(p.chunks)-1]
	keep := len(*last) - (p.size - n)
	tail := bytes.Clone((*last)[keep:])
	*last, p.size = (*last)[:keep], n
	return tail
}

// take moves bytes to the beginning of to, at most to the end of a chunk, and returns how many.
func (p *pieces) take(to []byte) int {
	first := p.chunks[0]
	n := copy(to, first[p.taken:])
	p.taken, p.size = p.taken+n, p.size-n
	if p.taken == len(first) {
		p.chunks[0] = nil // what is in front of a slice is kept with it
		p.chunks, p.taken, p.held = p.chunks[1:], 0, p.held-cap(first)
	}
	return n
}
