package nats_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"
)

// patience is for what takes a moment, on a machine that may be busy.
const patience = 30 * time.Second

// maxPayload has room for a hub's largest event, and what goes with it.
const maxPayload = 2 << 20

// engine is a server in this process, one after the other on one address.
type engine struct {
	t    testing.TB
	opts server.Options
	*server.Server
}

func startEngine(t testing.TB) *engine {
	t.Helper()
	e := &engine{t: t, opts: server.Options{
		Host: "127.0.0.1", Port: freePort(t), JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true,
		MaxPayload: maxPayload,
	}}
	e.start()
	t.Cleanup(e.stop)
	return e
}

func (e *engine) start() {
	e.t.Helper()
	s, err := server.NewServer(&e.opts)
	require.NoError(e.t, err)
	s.Start()
	require.True(e.t, s.ReadyForConnections(patience))
	e.Server = s
}

func (e *engine) stop() {
	e.Shutdown()
	e.WaitForShutdown()
}

func (e *engine) url() string { return fmt.Sprintf("nats://127.0.0.1:%d", e.opts.Port) }

// freePort is one below those that the system gives to clients, who try again and
// again while a server is down, and could get it themselves.
func freePort(t testing.TB) int {
	t.Helper()
	for port := 20000 + os.Getpid()%5000; port < 32000; port++ {
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			defer l.Close()
			if used[port] {
				continue
			}
			used[port] = true
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

var used = map[int]bool{}

// childEnv holds the node that a process of its own is.
const childEnv = "NATS_TEST_SERVER"

// node is a server of its own, or one of a cluster.
type node struct {
	Name          string
	Port, Cluster int
	Dir, Routes   string
}

// runChild is a server, until it is killed or its parent has ended.
func runChild(args string) {
	var n node
	if err := json.Unmarshal([]byte(args), &n); err != nil {
		panic(err)
	}
	opts := &server.Options{
		ServerName: n.Name, Host: "127.0.0.1", Port: n.Port, JetStream: true, StoreDir: n.Dir, MaxPayload: maxPayload,
		NoSigs: true, NoLog: true,
	}
	if n.Routes != "" {
		opts.Cluster = server.ClusterOpts{Name: "c", Host: "127.0.0.1", Port: n.Cluster}
		opts.Routes = server.RoutesFromStr(n.Routes)
	}
	s, err := server.NewServer(opts)
	if err != nil {
		panic(err)
	}
	s.Start()
	if !s.ReadyForConnections(patience) {
		panic("not ready")
	}
	fmt.Println("ready")
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n') // which ends with the parent
	os.Exit(0)
}

// cluster is servers each in a process that can be killed.
type cluster struct {
	t       *testing.T
	nodes   []node
	running []*exec.Cmd
}

func startCluster(t *testing.T, n int) *cluster {
	t.Helper()
	c := &cluster{t: t, nodes: make([]node, n), running: make([]*exec.Cmd, n)}
	var routes []string
	for i := range c.nodes {
		c.nodes[i] = node{Name: fmt.Sprint("n", i), Port: freePort(t), Cluster: freePort(t), Dir: t.TempDir()}
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", c.nodes[i].Cluster))
	}
	t.Cleanup(func() {
		for i := range c.nodes {
			c.kill(i)
		}
	})
	for i := range c.nodes {
		if n > 1 {
			c.nodes[i].Routes = strings.Join(routes, ",")
		}
		c.start(i)
	}
	return c
}

func (c *cluster) url() string {
	var urls []string
	for _, n := range c.nodes {
		urls = append(urls, fmt.Sprintf("nats://127.0.0.1:%d", n.Port))
	}
	return strings.Join(urls, ",")
}

func (c *cluster) start(i int) {
	c.t.Helper()
	args, err := json.Marshal(c.nodes[i])
	require.NoError(c.t, err)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+string(args))
	cmd.Stderr = os.Stderr
	_, err = cmd.StdinPipe() // it stays open until the process has ended
	require.NoError(c.t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(c.t, err)
	require.NoError(c.t, cmd.Start())
	c.running[i] = cmd
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(c.t, err)
	require.Equal(c.t, "ready\n", line)
}

// kill leaves the server no time for a word.
func (c *cluster) kill(i int) {
	if cmd := c.running[i]; cmd != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		c.running[i] = nil
	}
}

func (c *cluster) signal(i int, s syscall.Signal) {
	c.t.Helper()
	require.NoError(c.t, c.running[i].Process.Signal(s))
}
