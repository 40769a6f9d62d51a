package ssehub

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"runtime/debug"
	"strings"
)

// errorOf is deferred where a panic of the application's code would end the process,
// and makes an error of it.
func errorOf(who string, err *error) {
	if v := recover(); v != nil {
		*err = fmt.Errorf("ssehub: %s panicked: %v\n%s", who, v, debug.Stack())
	}
}

// guarded is the application's slog.Handler. The hub logs on goroutines that have
// nobody to recover on them, and under its own recover: a panic of the handler goes
// to package log, together with what it was told.
type guarded struct{ slog.Handler }

func (g guarded) Enabled(ctx context.Context, level slog.Level) (enabled bool) {
	defer func() {
		if v := recover(); v != nil {
			log.Printf("ssehub: the Logger panicked: %v", v)
		}
	}()
	return g.Handler.Enabled(ctx, level)
}

func (g guarded) Handle(ctx context.Context, r slog.Record) (err error) {
	defer func() {
		if v := recover(); v != nil {
			log.Printf("ssehub: the Logger panicked: %v; it was told: %s", v, textOf(r))
		}
	}()
	return g.Handler.Handle(ctx, r)
}

func (g guarded) WithAttrs(attrs []slog.Attr) slog.Handler {
	return guarded{g.Handler.WithAttrs(attrs)}
}

func (g guarded) WithGroup(name string) slog.Handler {
	return guarded{g.Handler.WithGroup(name)}
}

func textOf(r slog.Record) string {
	var b strings.Builder
	b.WriteString(r.Message)
	r.Attrs(func(a slog.Attr) bool {
		b.WriteString(" " + a.String())
		return true
	})
	return b.String()
}
