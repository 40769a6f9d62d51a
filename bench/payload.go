package main

import "bytes"

// A message's data is its sequence number and the time at which it was to be
// published, both in digits of fixed width, and filling. A burst leaves the
// time out.
const (
	seqDigits   = 10
	stampDigits = 16          // nanoseconds for 115 days since the machine started, and more
	maxMessages = 100_000_000 // what the digits can tell, and no more than a run should try
	maxSize     = 1 << 20
)

func newPayload(size int) []byte {
	return bytes.Repeat([]byte("x"), size)
}

func putSeq(data []byte, seq int) {
	putDigits(data[:seqDigits], int64(seq))
}

// putStamp writes a monotonic time behind the sequence number.
func putStamp(data []byte, at int64) {
	putDigits(data[seqDigits:seqDigits+stampDigits], at)
}

func putDigits(digits []byte, n int64) {
	for i := len(digits) - 1; i >= 0; i-- {
		digits[i] = byte('0' + n%10)
		n /= 10
	}
}

// parseSeq returns the sequence number at the head of data.
func parseSeq(data []byte) (seq int, ok bool) {
	if len(data) < seqDigits {
		return 0, false
	}
	n, ok := parseDigits(data[:seqDigits])
	return int(n), ok
}

func parseDigits(digits []byte) (n int64, ok bool) {
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}
