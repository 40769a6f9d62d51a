package ssehub

import (
	"strings"
	"time"
)

// A pattern has a log of its own, like a topic: Publish appends the frame to the
// log of its topic and to that of each pattern that matches it. A reader of a
// pattern is then a cursor in one log, however many topics there are and
// whenever they come into being. What happened before the pattern's log began
// it takes from the logs of the topics, see reader.lookUpPast.

// patternLinger is how long the log of a pattern that nobody reads is kept. It
// costs every publish to its topics, so it need only outlast a reconnect.
const patternLinger = 30 * time.Second

// trie finds the patterns that match a topic, by its tokens.
type trie struct {
	root    node
	version uint64 // changes with the set of patterns
	size    int    // of that
}

// node is what follows the tokens that lead to it.
type node struct {
	children map[string]*node // "*" among them
	here     *topic           // the log of the pattern that ends here
	rest     *topic           // that of the pattern that ends in ">" here
}

// put makes log that of a new pattern, or removes the pattern's if log is nil.
func (t *trie) put(pattern string, log *topic) {
	t.version++
	if log != nil {
		t.size++
	} else {
		t.size--
	}
	t.root.put(pattern, log)
}

// put reports whether nothing is left at n.
func (n *node) put(pattern string, log *topic) bool {
	token, rest, _ := strings.Cut(pattern, ".") // no token is empty, so an empty rest is the end
	switch {
	case pattern == "":
		n.here = log
	case token == ">":
		n.rest = log
	default:
		child := n.children[token]
		if child == nil {
			child = new(node)
			if n.children == nil {
				n.children = make(map[string]*node)
			}
			n.children[token] = child
		}
		if child.put(rest, log) {
			delete(n.children, token)
		}
	}
	return n.here == nil && n.rest == nil && len(n.children) == 0
}

// match appends the logs of all patterns that match the topic. It visits each
// node at most once.
func (t *trie) match(name string, logs []*topic) []*topic {
	return t.root.match(name, logs)
}

func (n *node) match(name string, logs []*topic) []*topic {
	if name == "" {
		if n.here != nil {
			logs = append(logs, n.here)
		}
		return logs
	}
	if n.rest != nil {
		logs = append(logs, n.rest)
	}
	token, rest, _ := strings.Cut(name, ".")
	for _, key := range [...]string{token, "*"} {
		if child := n.children[key]; child != nil {
			logs = child.match(rest, logs)
		}
	}
	return logs
}

// isPattern reports whether a valid name of a subscription is a pattern.
func isPattern(name string) bool {
	return strings.ContainsAny(name, "*>")
}

// MatchTopic reports whether pattern, which may be a topic too, matches topic, as in
// Subscribe: for an application that decides by patterns who may read what. What is
// invalid matches nothing.
func MatchTopic(pattern, topic string) bool {
	return checkPattern(pattern) == nil && checkTopic(topic) == nil && matches(pattern, topic)
}

// matches reports whether the pattern matches the topic.
func matches(pattern, name string) bool {
	for pattern != "" && name != "" {
		want, restOfPattern, _ := strings.Cut(pattern, ".")
		token, restOfName, _ := strings.Cut(name, ".")
		switch want {
		case ">":
			return true
		case "*", token:
			pattern, name = restOfPattern, restOfName
		default:
			return false
		}
	}
	return pattern == name // both at their end
}
