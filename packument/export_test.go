package packument

// Withheld returns how many bytes are kept for what is withheld.
func (r *Reader) Withheld() int { return cap(r.withheld) }
