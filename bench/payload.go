package main

import "bytes"

// A message's data is its sequence number, in digits of fixed width, and
// filling.
const (
	seqDigits   = 10
	maxMessages = 100_000_000 // what the digits can tell, and no more than a run should try
	maxSize     = 1 << 20
)

func newPayload(size int) []byte {
	return bytes.Repeat([]byte("x"), size)
}

func putSeq(data []byte, seq int) {
	for i := seqDigits - 1; i >= 0; i-- {
		data[i] = byte('0' + seq%10)
		seq /= 10
	}
}

// parseSeq returns the sequence number at the head of data.
func parseSeq(data []byte) (seq int, ok bool) {
	if len(data) < seqDigits {
		return 0, false
	}
	for _, c := range data[:seqDigits] {
		if c < '0' || c > '9' {
			return 0, false
		}
		seq = seq*10 + int(c-'0')
	}
	return seq, true
}
