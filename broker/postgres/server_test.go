package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

// patience is for what takes a moment, on a machine that may be busy.
const patience = 60 * time.Second

// engine is a server in a process of its own, one after the other with one folder. It
// does not sync, unless it is told to: it is killed, and not the machine.
type engine struct {
	args     []string
	bin, dir string
	as       *syscall.SysProcAttr // who it runs as: not root
	cmd      *exec.Cmd
	ended    chan struct{} // closed when cmd has
}

// common is for tests that leave the server as it is. Each finds it empty.
var common *engine

func commonEngine(t testing.TB) *engine {
	t.Helper()
	if common == nil {
		e := newEngine(t)
		e.start(t)
		common = e
	}
	common.do(t, `DROP SCHEMA public CASCADE`)
	common.do(t, `CREATE SCHEMA public`)
	common.do(t, `GRANT USAGE ON SCHEMA public TO PUBLIC`)
	common.do(t, `DROP ROLE IF EXISTS modest`)
	return common
}

func startEngine(t testing.TB, args ...string) *engine {
	t.Helper()
	e := newEngine(t)
	e.args = args
	t.Cleanup(e.end)
	e.start(t)
	return e
}

func newEngine(t testing.TB) *engine {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if path, err := exec.LookPath("initdb"); err == nil {
		found = append(found, path)
	}
	if len(found) == 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("no PostgreSQL")
		}
		t.Skip("no PostgreSQL")
	}
	dir, err := os.MkdirTemp("", "postgres") // t.TempDir is root's alone
	require.NoError(t, err)
	e := &engine{bin: filepath.Dir(slices.Max(found)), dir: dir}
	if os.Getuid() == 0 {
		postgres, err := user.Lookup("postgres")
		require.NoError(t, err)
		uid, err := strconv.Atoi(postgres.Uid)
		require.NoError(t, err)
		gid, err := strconv.Atoi(postgres.Gid)
		require.NoError(t, err)
		e.as = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
		require.NoError(t, os.Chown(dir, uid, gid))
	}
	initdb := e.command("initdb", "-D", filepath.Join(dir, "data"), "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale", "C")
	out, err := initdb.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return e
}

func (e *engine) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(e.bin, name), args...)
	cmd.Dir, cmd.SysProcAttr = e.dir, e.as
	return cmd
}

func (e *engine) url() string {
	return "postgres://postgres@/postgres?host=" + url.QueryEscape(e.dir)
}

func (e *engine) start(t testing.TB) {
	t.Helper()
	out := filepath.Join(e.dir, "out")
	for deadline := time.Now().Add(patience); ; { // the processes of one that was killed may be there for a moment
		file, err := os.Create(out)
		require.NoError(t, err)
		args := []string{"-D", "data", "-k", e.dir, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=300"}
		e.cmd = e.command("postgres", append(args, e.args...)...)
		e.cmd.Stdout, e.cmd.Stderr = file, file
		require.NoError(t, e.cmd.Start())
		file.Close()
		e.ended = make(chan struct{})
		go func(cmd *exec.Cmd, ended chan struct{}) {
			defer close(ended)
			_ = cmd.Wait()
		}(e.cmd, e.ended)
		for up := true; up; {
			if conn, err := pgx.Connect(context.Background(), e.url()); err == nil {
				_ = conn.Close(context.Background())
				return
			}
			if time.Now().After(deadline) {
				said, _ := os.ReadFile(out)
				t.Fatalf("%s", said)
			}
			select {
			case <-e.ended:
				up = false
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
}

// do is what an operator does.
func (e *engine) do(t testing.TB, sql string, args ...any) {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), e.url())
	require.NoError(t, err)
	defer func() { _ = conn.Close(context.Background()) }()
	require.Eventually(t, func() bool {
		_, err = conn.Exec(context.Background(), sql, args...)
		var of *pgconn.PgError // who drops tables may be the one whom the server undoes
		return !errors.As(err, &of) || of.Code != "40P01"
	}, patience, time.Millisecond)
	require.NoError(t, err)
}

// ask returns a number.
func (e *engine) ask(t testing.TB, sql string) (n int) {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), e.url())
	require.NoError(t, err)
	defer func() { _ = conn.Close(context.Background()) }()
	require.NoError(t, conn.QueryRow(context.Background(), sql).Scan(&n))
	return n
}

// signal goes to all of the server's processes, or to the first alone.
func (e *engine) signal(s syscall.Signal, all bool) {
	pid := e.cmd.Process.Pid
	if all {
		_ = syscall.Kill(pid, syscall.SIGSTOP) // so that it has no more, and these stay its own until they are found
		stats, _ := filepath.Glob("/proc/[0-9]*/stat")
		for _, path := range stats {
			stat, _ := os.ReadFile(path)
			_, behind, _ := strings.Cut(string(stat), ") ")
			if fields := strings.Fields(behind); len(fields) > 1 && fields[1] == fmt.Sprint(pid) {
				child, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
				_ = syscall.Kill(child, s)
			}
		}
	}
	_ = syscall.Kill(pid, s)
}

// kill leaves the server no time for a word.
func (e *engine) kill() {
	e.signal(syscall.SIGKILL, true)
	<-e.ended
}

// stop has it end in order, and cut its clients.
func (e *engine) stop() {
	e.signal(syscall.SIGINT, false)
	<-e.ended
}

func (e *engine) end() {
	if e.cmd != nil {
		e.kill()
	}
	_ = os.RemoveAll(e.dir)
}
