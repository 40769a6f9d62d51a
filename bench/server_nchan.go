package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// nchanModules is where distributions put it.
var nchanModules = []string{
	"/usr/lib/nginx/modules/ngx_nchan_module.so",
	"/usr/lib64/nginx/modules/ngx_nchan_module.so",
	"/usr/share/nginx/modules/ngx_nchan_module.so",
}

func nchanModule() (string, error) {
	for _, file := range nchanModules {
		if _, err := os.Stat(file); err == nil {
			return file, nil
		}
	}
	return "", errors.New("no nchan module for nginx (libnginx-mod-nchan)")
}

func nchanMissing() error {
	if _, err := exec.LookPath("nginx"); err != nil {
		return errors.New("nginx is not installed")
	}
	_, err := nchanModule()
	return err
}

// nchanConfig has a worker for each core and a buffer for the whole burst.
const nchanConfig = `daemon off;
%suser root;
worker_processes auto;
worker_rlimit_nofile %d;
pid %[3]s/pid;
error_log %[3]s/error.log;
load_module %[4]s;
events { worker_connections %[2]d; multi_accept on; }
http {
	access_log off;
	nchan_shared_memory_size 512M;
	client_body_temp_path %[3]s/body; proxy_temp_path %[3]s/proxy; fastcgi_temp_path %[3]s/fastcgi;
	uwsgi_temp_path %[3]s/uwsgi; scgi_temp_path %[3]s/scgi;
	server {
		listen %[5]s backlog=4096;
		keepalive_requests 1000000000;
		keepalive_timeout 1h;
		client_max_body_size 2m;
		client_body_buffer_size 2m;
		location = /stream {
			nchan_subscriber eventsource;
			nchan_channel_id bench;
			nchan_subscriber_first_message newest;
			nchan_eventsource_ping_interval 15;
		}
		location = /publish {
			nchan_publisher;
			nchan_channel_id bench;
			nchan_message_buffer_length %[6]d;
			nchan_message_timeout 1h;
		}
	}
}
`

// newNchan is nginx with the nchan module. It is published to over HTTP, on a
// connection that is kept.
func newNchan(t task) (p peer, err error) {
	dir, err := os.MkdirTemp("", "bench-nchan-")
	if err != nil {
		return p, err
	}
	defer func() {
		if err != nil {
			os.RemoveAll(dir)
		}
	}()
	addr, err := freeAddr()
	if err != nil {
		return p, err
	}
	module, err := nchanModule()
	if err != nil {
		return p, err
	}
	comment := "#" // only root may, and has to, say who runs the workers
	if os.Geteuid() == 0 {
		comment = ""
	}
	file := filepath.Join(dir, "nginx.conf")
	config := fmt.Sprintf(nchanConfig, comment, t.Conns+spareFiles, dir, module, addr, t.Messages+16)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return p, err
	}
	cmd := exec.Command("nginx", "-c", file, "-p", dir, "-e", filepath.Join(dir, "error.log"))
	endWithParent(cmd)
	if err := cmd.Start(); err != nil {
		return p, err
	}
	stop := func() {
		_ = cmd.Process.Signal(os.Interrupt) // nginx ends its workers at once
		_ = cmd.Wait()
		os.RemoveAll(dir)
	}
	pids, err := awaitNginx(addr, cmd.Process.Pid)
	if err != nil {
		text, _ := os.ReadFile(filepath.Join(dir, "error.log"))
		stop()
		return p, fmt.Errorf("%w\n%s", err, text)
	}
	n := &nchan{url: "http://" + addr + "/publish"}
	return peer{
		addr: addr,
		path: "/stream",
		publish: func(data []byte) error {
			_, err := n.publish("", data)
			return err
		},
		signal: func(typ string) (string, error) { return n.publish(typ, []byte("{}")) },
		pids:   pids,
		close:  stop,
	}, nil
}

// freeAddr finds a port that nginx can listen on.
func freeAddr() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}

// awaitNginx waits until it answers and lists its processes.
func awaitNginx(addr string, pid int) (pids []int, err error) {
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		resp, err := http.Get("http://" + addr + "/")
		if err != nil {
			continue
		}
		resp.Body.Close()
		pids = []int{pid}
		children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
		if err != nil {
			return nil, err
		}
		for _, word := range strings.Fields(string(children)) {
			var child int
			if _, err := fmt.Sscan(word, &child); err != nil {
				return nil, err
			}
			pids = append(pids, child)
		}
		return pids, nil
	}
	return nil, errors.New("nginx does not answer")
}

// nchan is a publisher.
type nchan struct{ url string }

// publish returns the id of the message.
func (n *nchan) publish(typ string, data []byte) (id string, err error) {
	req, err := http.NewRequest(http.MethodPost, n.url, bytes.NewReader(data))
	if err != nil {
		return "", err
	}
	req.Header.Set("Accept", "text/json")
	if typ != "" {
		req.Header.Set("X-EventSource-Event", typ)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body) // to the end, or the connection is not kept
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("publishing: %s", resp.Status)
	}
	if err != nil || typ == "" {
		return "", err
	}
	var status struct {
		ID string `json:"last_message_id"`
	}
	err = json.Unmarshal(body, &status)
	return status.ID, err
}
