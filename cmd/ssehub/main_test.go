package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

// childEnv makes this test binary the program itself: it can be killed, has an exit code,
// and has the race detector where its tests have it.
const childEnv = "SSEHUB_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) == "" {
		goleak.VerifyTestMain(m)
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], stdio{os.Stdin, os.Stdout, os.Stderr})
	stop()
	http.DefaultClient.CloseIdleConnections()
	if err := goleak.Find(goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*call).DelayDo.func1")); err != nil { // that sleeps for a second
		fmt.Fprintln(os.Stderr, err)
		code = 99
	}
	os.Exit(code)
}
