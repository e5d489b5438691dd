package strictjson

// numState is how far a number was read: RFC 8259, section 6.
type numState uint8

const (
	numStart numState = iota
	numMinus
	numZero // a leading zero: no digit may follow
	numInt
	numDot
	numFrac
	numE
	numSign
	numExp
)

// complete reports whether the number may end here.
func (n numState) complete() bool {
	return n == numZero || n == numInt || n == numFrac || n == numExp
}

// next returns the state after c, or false if c does not continue the number.
func (n numState) next(c byte) (numState, bool) {
	digit := c >= '0' && c <= '9'
	switch n {
	case numStart, numMinus:
		switch {
		case c == '-' && n == numStart:
			return numMinus, true
		case c == '0':
			return numZero, true
		case digit:
			return numInt, true
		}
	case numZero, numInt, numFrac:
		switch {
		case digit && n != numZero:
			return n, true
		case c == '.' && n != numFrac:
			return numDot, true
		case c == 'e' || c == 'E':
			return numE, true
		}
	case numDot:
		return numFrac, digit
	case numE:
		if c == '+' || c == '-' {
			return numSign, true
		}
		return numExp, digit
	case numSign, numExp:
		return numExp, digit
	}
	return n, false
}
