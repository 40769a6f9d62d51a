package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// startNATS starts a cluster of n servers in this process, with their files in a
// directory that goes when they stop. It returns their URLs.
func startNATS(n int) (urls string, stop func(), err error) {
	dir, err := os.MkdirTemp("", "ssehub-cluster")
	if err != nil {
		return "", nil, err
	}
	var servers []*server.Server
	stop = func() {
		for _, s := range servers {
			s.Shutdown()
			s.WaitForShutdown()
		}
		os.RemoveAll(dir)
	}
	ports, err := freePorts(2 * n)
	if err != nil {
		stop()
		return "", nil, err
	}
	var routes, all []string
	for i := range n {
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", ports[n+i]))
		all = append(all, fmt.Sprintf("nats://127.0.0.1:%d", ports[i]))
	}
	for i := range n {
		s, err := server.NewServer(&server.Options{
			ServerName: fmt.Sprint("nats", i), Host: "127.0.0.1", Port: ports[i], NoLog: true, NoSigs: true,
			JetStream: true, StoreDir: filepath.Join(dir, fmt.Sprint(i)), MaxPayload: 2 << 20,
			Cluster: server.ClusterOpts{Name: "ssehub", Host: "127.0.0.1", Port: ports[n+i]},
			Routes:  server.RoutesFromStr(strings.Join(routes, ",")),
		})
		if err != nil {
			stop()
			return "", nil, err
		}
		servers = append(servers, s)
		s.Start()
	}
	for _, s := range servers {
		if !s.ReadyForConnections(10 * time.Second) {
			stop()
			return "", nil, errors.New("the NATS servers do not start")
		}
	}
	return strings.Join(all, ","), stop, nil
}

// freePorts returns n ports that nobody has at the moment.
func freePorts(n int) (ports []int, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// replicas is how many servers have each event: three if there are.
func replicas(urls string) int {
	if strings.Count(urls, ",") >= 2 {
		return 3
	}
	return 1
}
