package ssehub

import (
	"encoding/base32"
	"errors"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// Position is a place in a log: that of an event, or of a reader behind it.
// Its text form, epoch-seq, is the id of every event.
type Position struct {
	// Epoch names one life of the log. Where numbers could be used again, as
	// after a restart of a log in memory, the epoch is a new one.
	Epoch string
	// Seq rises with every event of the whole hub, whatever its topic. It stays
	// below 2^53, so that JavaScript can count it.
	Seq uint64
}

const (
	maxSeq      = 1<<53 - 1
	maxEpochLen = 32
	maxTextLen  = maxEpochLen + len("-9007199254740991")
)

// ErrInvalidPosition is returned for a text that is not a [Position]'s.
var ErrInvalidPosition = errors.New("ssehub: invalid position")

// ParsePosition reads the text form of a position, and nothing but the exact
// text that [Position.String] gives.
func ParsePosition(text string) (Position, error) {
	if len(text) > maxTextLen {
		return Position{}, ErrInvalidPosition
	}
	epoch, digits, ok := strings.Cut(text, "-")
	if !ok || !validEpoch(epoch) || digits == "" || digits[0] == '0' && digits != "0" {
		return Position{}, ErrInvalidPosition
	}
	for i := range len(digits) { // ParseUint takes a sign
		if digits[i] < '0' || digits[i] > '9' {
			return Position{}, ErrInvalidPosition
		}
	}
	seq, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || seq > maxSeq {
		return Position{}, ErrInvalidPosition
	}
	return Position{Epoch: epoch, Seq: seq}, nil
}

func validEpoch(s string) bool {
	if s == "" || len(s) > maxEpochLen {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '_':
		default:
			return false
		}
	}
	return true
}

// String returns the text form, or "" for the zero Position.
func (p Position) String() string {
	if p.Epoch == "" {
		return ""
	}
	return p.Epoch + "-" + strconv.FormatUint(p.Seq, 10)
}

// MarshalText returns the text form, which is also what JSON then holds.
func (p Position) MarshalText() ([]byte, error) {
	return []byte(p.String()), nil
}

// UnmarshalText reads what MarshalText returned; an empty text is the zero
// Position.
func (p *Position) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*p = Position{}
		return nil
	}
	pos, err := ParsePosition(string(text))
	if err == nil {
		*p = pos
	}
	return err
}

// newEpoch returns 40 random bits as 8 characters: short, as every frame
// carries them, and two lives of one hub meet the same once in 10^12.
func newEpoch() string {
	id := uuid.New()
	return strings.ToLower(base32.HexEncoding.EncodeToString(id[:5]))
}
