package main

import "io"

// An object writes one JSON object, member by member. After an error it writes nothing more.
type object struct {
	w   io.Writer
	any bool // has a member
	err error
}

func newObject(w io.Writer) *object {
	o := &object{w: w}
	o.write([]byte("{"))
	return o
}

func (o *object) write(p []byte) {
	if o.err == nil {
		_, o.err = o.w.Write(p)
	}
}

// key begins a member, whose value the caller writes.
func (o *object) key(key string) {
	if o.any {
		o.write([]byte(","))
	}
	o.any = true
	o.value(key)
	o.write([]byte(":"))
}

// put writes a member.
func (o *object) put(key string, v any) {
	o.key(key)
	o.value(v)
}

// putAll writes the members of an object.
func (o *object) putAll(text []byte) {
	text = text[1 : len(text)-1]
	if len(text) == 0 {
		return
	}
	if o.any {
		o.write([]byte(","))
	}
	o.any = true
	o.write(text)
}

func (o *object) value(v any) {
	if o.err != nil {
		return
	}
	text, err := encode(v)
	if err != nil {
		o.err = err
		return
	}
	o.write(text)
}

func (o *object) end() error {
	o.write([]byte("}"))
	return o.err
}
