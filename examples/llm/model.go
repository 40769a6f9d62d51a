package main

import (
	"context"
	"strings"
	"time"
)

// model writes the answer to a prompt in pieces, until it returns or ctx ends.
type model func(ctx context.Context, prompt string, write func(piece string) error) error

// imitation is a model that knows one thing, and takes pace for each word of it.
func imitation(pace time.Duration) model {
	return func(ctx context.Context, prompt string, write func(string) error) error {
		tick := time.NewTicker(pace)
		defer tick.Stop()
		for _, word := range strings.SplitAfter(answerTo(prompt), " ") {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return ctx.Err()
			}
			if err := write(word); err != nil {
				return err
			}
		}
		return nil
	}
}

func answerTo(prompt string) string {
	return "You have asked: “" + strings.TrimSpace(prompt) + "”. I am an imitation of a language model, and can only speak of " +
		"how you come to read this.\n\n" +
		"Each word is an event of a topic that only this answer has. It is ephemeral: it goes out at once to everybody who reads, " +
		"and is kept for nobody. What is kept is the answer so far. A page that comes later, in a second tab or after a reload, " +
		"gets that first, as of a position in the log, and then exactly the words behind it.\n\n" +
		"Try it. Reload this page while I am writing. Copy its address into a second tab. Close both and come back: I do not " +
		"stop to write because nobody looks. Pull the plug of your network, and put it in again.\n\n" +
		"In the end there comes one event more, with all of the text, and that one is durable: whoever was away when it came " +
		"gets it later. Then the page closes its stream, as there is nothing more to say."
}
