package main

// Exit codes, as cat --help has them.
const (
	exitOK          = 0
	exitFailed      = 1
	exitRefused     = 2
	exitGap         = 3
	exitInterrupted = 130
)

// exitError ends the program with a code, and says why if there is an err.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }
