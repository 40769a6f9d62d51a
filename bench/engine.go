package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	nats "github.com/nats-io/nats-server/v2/server"
	"golang.org/x/sys/unix"
)

// Engines keep the logs of hubs. Each runs in a process of its own, started anew for
// each turn, with a folder that goes away with it; its URL is what the peer calls addr.

// engineStart is how long an engine may take until it answers.
const engineStart = 20 * time.Second

// newNATSServer is the engine in this process, with a file for its stream.
func newNATSServer(task) (peer, error) {
	dir, err := os.MkdirTemp("", "nats")
	if err != nil {
		return peer{}, err
	}
	s, err := nats.NewServer(&nats.Options{
		Host: "127.0.0.1", Port: nats.RANDOM_PORT, JetStream: true, StoreDir: dir, NoSigs: true, NoLog: true,
	})
	if err != nil {
		return peer{}, err
	}
	s.Start()
	p := peer{addr: s.ClientURL(), close: func() {
		s.Shutdown()
		s.WaitForShutdown()
		os.RemoveAll(dir)
	}}
	if !s.ReadyForConnections(engineStart) {
		p.close()
		return peer{}, errors.New("nats-server does not start")
	}
	return p, nil
}

func redisMissing() error {
	if _, err := exec.LookPath("redis-server"); err != nil {
		return errors.New("redis-server is not installed")
	}
	return nil
}

// newRedisServer syncs its file once a second or, always, before each answer.
func newRedisServer(sync string) func(task) (peer, error) {
	return func(task) (peer, error) {
		dir, err := os.MkdirTemp("", "redis")
		if err != nil {
			return peer{}, err
		}
		socket := filepath.Join(dir, "s")
		cmd := exec.Command("redis-server", "--port", "0", "--unixsocket", socket, "--dir", dir,
			"--save", "", "--appendonly", "yes", "--appendfsync", sync)
		return startEngine(cmd, dir, "unix://"+socket, socket)
	}
}

func postgresBin() (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if path, err := exec.LookPath("initdb"); err == nil {
		found = append(found, path)
	}
	if len(found) == 0 {
		return "", errors.New("PostgreSQL is not installed")
	}
	return filepath.Dir(slices.Max(found)), nil
}

func postgresMissing() error {
	_, err := postgresBin()
	return err
}

// newPostgresServer has the server's own settings, so it syncs each commit.
func newPostgresServer(task) (peer, error) {
	bin, err := postgresBin()
	if err != nil {
		return peer{}, err
	}
	dir, err := os.MkdirTemp("", "postgres")
	if err != nil {
		return peer{}, err
	}
	as, err := notRoot(dir)
	if err != nil {
		os.RemoveAll(dir)
		return peer{}, err
	}
	command := func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(bin, name), args...)
		cmd.Dir, cmd.SysProcAttr = dir, as
		return cmd
	}
	if out, err := command("initdb", "-D", "data", "-U", "postgres", "-A", "trust", "--no-sync").CombinedOutput(); err != nil {
		os.RemoveAll(dir)
		return peer{}, fmt.Errorf("initdb: %w: %s", err, out)
	}
	return startEngine(command("postgres", "-D", "data", "-k", dir, "-c", "listen_addresses="), dir,
		"postgres://postgres@/postgres?host="+url.QueryEscape(dir), filepath.Join(dir, ".s.PGSQL.5432"))
}

// notRoot gives dir to PostgreSQL's own user, where this process is root, as whom it
// does not run.
func notRoot(dir string) (*syscall.SysProcAttr, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	owner, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, err := strconv.Atoi(owner.Uid)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.Atoi(owner.Gid)
	if err != nil {
		return nil, err
	}
	as := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	return as, os.Chown(dir, uid, gid)
}

// startEngine starts cmd and waits until it listens on its socket. It ends with this
// process, killed if need be.
func startEngine(cmd *exec.Cmd, dir, url, socket string) (peer, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	cmd.SysProcAttr.Pdeathsig = unix.SIGKILL
	if err := cmd.Start(); err != nil {
		os.RemoveAll(dir)
		return peer{}, err
	}
	p := peer{addr: url, pids: []int{cmd.Process.Pid}, close: func() {
		_ = cmd.Process.Signal(unix.SIGINT)
		late := time.AfterFunc(stopping, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait() // how it ends says nothing about what was measured
		late.Stop()
		os.RemoveAll(dir)
	}}
	ctx, cancel := context.WithTimeout(context.Background(), engineStart)
	defer cancel()
	for ctx.Err() == nil {
		if conn, err := net.Dial("unix", socket); err == nil {
			conn.Close()
			return p, nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	p.close()
	return peer{}, fmt.Errorf("%s does not start", cmd.Path)
}
