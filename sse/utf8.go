package sse

import "unicode/utf8"

// decodeUTF8 returns b itself if it is valid, else a copy in which every
// maximal subpart of an ill-formed sequence is one U+FFFD: what browsers show
// (Encoding standard, "UTF-8 decoder"). Ranging over a string gives one per
// byte instead, strings.ToValidUTF8 one per run.
func decodeUTF8(b []byte) []byte {
	if utf8.Valid(b) {
		return b
	}
	out := make([]byte, 0, len(b)+8)
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r != utf8.RuneError || n > 1 {
			out = append(out, b[:n]...)
		} else {
			n = subpart(b)
			out = append(out, "\uFFFD"...)
		}
		b = b[n:]
	}
	return out
}

// subpart returns the length of the maximal subpart at the start of b, which
// is not a valid sequence (Unicode, table 3-7).
func subpart(b []byte) int {
	lo, hi, need := byte(0x80), byte(0xBF), 0
	switch c := b[0]; {
	case c >= 0xC2 && c <= 0xDF:
		need = 1
	case c >= 0xE0 && c <= 0xEF:
		need = 2
		switch c {
		case 0xE0:
			lo = 0xA0
		case 0xED:
			hi = 0x9F // surrogates
		}
	case c >= 0xF0 && c <= 0xF4:
		need = 3
		switch c {
		case 0xF0:
			lo = 0x90
		case 0xF4:
			hi = 0x8F
		}
	}
	n := 1
	for n <= need && n < len(b) && b[n] >= lo && b[n] <= hi {
		n++
		lo, hi = 0x80, 0xBF
	}
	return n
}
