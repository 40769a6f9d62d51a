package ssehub

import (
	"errors"
	"fmt"
	"strings"
)

// ErrInvalidTopic is wrapped by the error for a topic that cannot be published
// or subscribed to. A topic is 1 to 256 bytes of printable ASCII without space,
// quotes, backslash, %, *, < and >; a dot divides it into tokens, none of which
// is empty. A pattern, which can only be subscribed to, has "*" in place of any
// one token, or ">" as its last, in place of one or more. "ssehub.control" is reserved.
var ErrInvalidTopic = errors.New("ssehub: invalid topic")

const maxTopicLen = 256

// checkTopic accepts so little because topics meet URLs, logs, metrics and
// brokers' subjects, and because two topics should not look alike.
func checkTopic(name string) error {
	if name == "" || len(name) > maxTopicLen {
		return fmt.Errorf("%w: length %d, want 1 to %d", ErrInvalidTopic, len(name), maxTopicLen)
	}
	if name == controlTopic {
		return fmt.Errorf("%w: %s is reserved", ErrInvalidTopic, name)
	}
	token := 0
	for i := range len(name) {
		switch c := name[i]; c {
		case '.':
			if token == 0 {
				return fmt.Errorf("%w: empty token", ErrInvalidTopic)
			}
			token = 0
			continue
		case '*', '<', '>', '%', '"', '\'', '`', '\\':
			return fmt.Errorf("%w: character %q", ErrInvalidTopic, c)
		default:
			if c <= ' ' || c > '~' {
				return fmt.Errorf("%w: byte %#x", ErrInvalidTopic, c)
			}
		}
		token++
	}
	if token == 0 {
		return fmt.Errorf("%w: empty token", ErrInvalidTopic)
	}
	return nil
}

// checkPattern accepts a topic, or a pattern.
func checkPattern(name string) error {
	if !isPattern(name) {
		return checkTopic(name)
	}
	tokens := strings.Split(name, ".")
	for i, token := range tokens {
		if token == "*" || token == ">" && i == len(tokens)-1 {
			tokens[i] = "x" // as long, and any token will do
		}
	}
	return checkTopic(strings.Join(tokens, "."))
}

// checkTopics returns each of topics, which may be patterns, once, or an error
// that wraps ErrInvalidTopic.
func checkTopics(topics []string) ([]string, error) {
	if len(topics) == 0 {
		return nil, fmt.Errorf("%w: none given", ErrInvalidTopic)
	}
	names := make([]string, 0, len(topics))
	seen := make(map[string]bool, len(topics))
	for _, name := range topics {
		if err := checkPattern(name); err != nil {
			return nil, err
		}
		if !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	return names, nil
}
