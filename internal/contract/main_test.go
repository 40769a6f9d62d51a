package main

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv("SSEHUB_CONTRACT_SERVE") != "" { // a child of TestProcess
		main()
		return
	}
	goleak.VerifyTestMain(m)
}
