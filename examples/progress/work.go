package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// newWork is some 3 to 20 s of doing nothing, which fails now and then.
func newWork() work {
	total := 200 + rand.IntN(800)
	each := time.Duration(10+rand.IntN(15)) * time.Millisecond
	fails := total + 1
	if rand.IntN(6) == 0 {
		fails = rand.IntN(total)
	}
	return func(ctx context.Context, tell func(done, total int)) error {
		tick := time.NewTicker(each)
		defer tick.Stop()
		for done := range total + 1 {
			tell(done, total)
			if done == fails {
				return fmt.Errorf("row %d cannot be read", done)
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return nil
	}
}
