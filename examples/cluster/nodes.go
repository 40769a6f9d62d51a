package main

import (
	"bufio"
	"cmp"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// restartTime is how long a node stays away that was killed.
const restartTime = 3 * time.Second

// nodes are the processes that serve streams.
type nodes struct {
	broker string
	names  []string
	addrs  map[string]string // where they listen; somewhere if it is not said
	hosts  string            // that they are asked for
	tasks  sync.WaitGroup

	mu      sync.Mutex
	running map[string]*process
	ending  bool
	turn    int
}

type process struct {
	cmd   *exec.Cmd
	proxy *httputil.ReverseProxy
	ended chan struct{}
}

func startNodes(broker string, names ...string) (*nodes, error) {
	n := &nodes{broker: broker, names: names}
	return n, n.startAll()
}

func (n *nodes) startAll() error {
	n.running = make(map[string]*process)
	for _, name := range n.names {
		if err := n.start(name); err != nil {
			n.stop()
			return err
		}
	}
	return nil
}

// start runs this program as a node.
func (n *nodes) start(name string) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(program, "-node", name, "-addr", cmp.Or(n.addrs[name], "127.0.0.1:0"), "-broker", n.broker, "-hosts", n.hosts)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = withParent()
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	p := &process{cmd: cmd, ended: make(chan struct{})}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		_ = cmd.Wait()
		return fmt.Errorf("node %s did not start: %w", name, err)
	}
	_, address, _ := strings.Cut(strings.TrimSpace(line), " ")
	target, err := url.Parse(address)
	if err != nil {
		return err
	}
	p.proxy = &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.running[name] = p
	n.tasks.Go(func() { n.watch(name, p) })
	return nil
}

// watch starts a node again that has ended.
func (n *nodes) watch(name string, p *process) {
	_ = p.cmd.Wait()
	close(p.ended)
	n.mu.Lock()
	if n.running[name] == p {
		delete(n.running, name)
	}
	ending := n.ending
	n.mu.Unlock()
	if ending {
		return
	}
	time.Sleep(restartTime)
	n.mu.Lock()
	ending = n.ending
	n.mu.Unlock()
	if !ending {
		if err := n.start(name); err != nil {
			fmt.Fprintln(os.Stderr, "cluster:", err)
		}
	}
}

// signal sends a node a signal, and reports whether it is there.
func (n *nodes) signal(name string, s os.Signal) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.running[name]
	return p != nil && p.cmd.Process.Signal(s) == nil
}

func (n *nodes) stop() {
	n.mu.Lock()
	n.ending = true
	for _, p := range n.running {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		time.AfterFunc(2*drainTime, func() { _ = p.cmd.Process.Kill() })
	}
	n.mu.Unlock()
	n.tasks.Wait()
}

// front is the one address in front of the nodes: each request goes to the next of
// them that is there. In earnest this is nginx or the like, see nginx.conf.
func (n *nodes) front() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if p := n.next(); p != nil {
			p.proxy.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Retry-After", "1")
		http.Error(w, "no node is there", http.StatusServiceUnavailable)
	})
	mux.HandleFunc("POST /kill/{node}", n.control(syscall.SIGKILL))
	mux.HandleFunc("POST /drain/{node}", n.control(syscall.SIGTERM))
	mux.HandleFunc("GET /nodes", func(w http.ResponseWriter, _ *http.Request) {
		n.mu.Lock()
		defer n.mu.Unlock()
		for _, name := range n.names {
			fmt.Fprintf(w, "%s %t\n", name, n.running[name] != nil)
		}
	})
	return http.NewCrossOriginProtection().Handler(mux)
}

func (n *nodes) control(s os.Signal) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !n.signal(r.PathValue("node"), s) {
			http.Error(w, "no such node, or it is away", http.StatusNotFound)
		}
	}
}

func (n *nodes) next() *process {
	n.mu.Lock()
	defer n.mu.Unlock()
	for range n.names {
		n.turn++
		if p := n.running[n.names[n.turn%len(n.names)]]; p != nil {
			return p
		}
	}
	return nil
}
