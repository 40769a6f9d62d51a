package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What operators ask for, with and without an address of its own.
func TestOperations(t *testing.T) {
	p, url := serve(t, nil, "--anonymous", ">", "--publish-token", testToken)
	publish(t, url, "topic=news", "x")
	apart, public := serve(t, nil, "--anonymous", ">", "--ops-listen", "127.0.0.1:0", "--metrics-topics", "news")
	for _, tt := range []struct {
		base, path string
		status     int
		contains   string
	}{
		{url, "/healthz", 200, "alive"},
		{url, "/readyz", 200, "ready"},
		{url, "/metrics", 200, "ssehub_"},
		{url, "/", 404, ""},
		{public, "/healthz", 404, ""},
		{public, "/metrics", 404, ""},
		{apart.url("operations"), "/readyz", 200, "ready"},
		{apart.url("operations"), "/metrics", 200, `topic="news"`},
		{apart.url("operations"), "/events?topic=news", 404, ""},
	} {
		status, _, body := do(t, tt.base, request{path: tt.path})
		require.Equal(t, tt.status, status, tt.path)
		require.Contains(t, body, tt.contains, tt.path)
	}
	require.Contains(t, p.err.String(), "listening")
	require.NotContains(t, p.err.String(), "nobody may publish")
	require.Contains(t, apart.err.String(), "nobody may publish")
}

// A flag goes before the environment, that before the file, and that before the default.
func TestPrecedence(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "ssehub.json")
	write := func(text string) { require.NoError(t, os.WriteFile(file, []byte(text), 0o600)) }
	for name, tt := range map[string]struct {
		file string
		env  []string
		args []string
		open []string // topics that anybody may read, in this order: file, env, flag
	}{
		"file":        {`{"anonymous": ["file"]}`, nil, nil, []string{"file"}},
		"environment": {`{"anonymous": ["file"]}`, []string{"SSEHUB_ANONYMOUS=env,more"}, nil, []string{"env", "more"}},
		"flag":        {`{"anonymous": ["file"]}`, []string{"SSEHUB_ANONYMOUS=env"}, []string{"--anonymous", "flag"}, []string{"flag"}},
		"each kind":   {`{"anonymous": ["file"], "drain": "1s", "max-streams": 3, "trusted-proxies": ["10.0.0.0/8"], "h2c": true}`, nil, nil, []string{"file"}},
	} {
		t.Run(name, func(t *testing.T) {
			write(tt.file)
			_, url := serve(t, tt.env, append(tt.args, "--config", file)...)
			for _, topic := range []string{"file", "env", "more", "flag"} {
				status, _, _ := do(t, url, request{path: "/events?topic=" + topic})
				want := http.StatusForbidden
				for _, open := range tt.open {
					if open == topic {
						want = http.StatusOK
					}
				}
				require.Equal(t, want, status, topic)
			}
		})
	}
	for name, text := range map[string]string{"no such flag": `{"anonymos": ["x"]}`, "no JSON": `anonymous: x`, "a wrong value": `{"anonymous": ["x"], "drain": "soon"}`} {
		write(text)
		code, _, errs := command(t, "", "serve", "--listen", "127.0.0.1:0", "--config", file)
		require.Equal(t, exitFailed, code, name)
		require.NotContains(t, errs, "listening", name)
	}
}

// SIGTERM ends streams and batches, and the program in order; meanwhile it is not ready.
// (row 67)
func TestDrain(t *testing.T) {
	p, url := serve(t, nil, "--anonymous", ">", "--publish-token", testToken, "--drain", "1m", "--ops-listen", "127.0.0.1:0")
	ops := p.url("operations")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/events?topic=news", nil)
	require.NoError(t, err)
	res, err := httpClient(t).Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	b := openBatch(t, url+"/publish?topic=news")
	require.Zero(t, b.send(`{"data": "before"}`).Status)

	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Contains(t, string(body), "data: before\n")
	require.Regexp(t, `\nretry: \d+\n`, string(body), "its own time to come back")
	require.Equal(t, 503, b.answer().Status)
	require.Zero(t, p.wait())
	_, err = net.Dial("tcp", ops[len("http://"):])
	require.Error(t, err)
	require.NotContains(t, p.err.String(), "cut what had not ended")
}

// A server that drains says that it is not ready, to the last.
func TestNotReadyWhileDraining(t *testing.T) {
	p, url := serve(t, nil, "--publish-token", testToken, "--drain", "1m", "--ops-listen", "127.0.0.1:0")
	ops := p.url("operations")
	body, in := io.Pipe() // of a request that holds up the end
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/publish?topic=news", body)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+testToken)
	req.Header.Set("Expect", "100-continue") // it sends nothing before the server reads
	client := httpClient(t)
	client.Transport.(*http.Transport).ExpectContinueTimeout = patience
	answered := make(chan error, 1)
	go func() {
		res, err := client.Do(req)
		if err == nil {
			err = res.Body.Close()
		}
		answered <- err
	}()
	_, err = io.WriteString(in, "x")
	require.NoError(t, err)
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	require.Eventually(t, func() bool {
		status, _, body := do(t, ops, request{path: "/readyz"})
		return status == http.StatusServiceUnavailable && body == "draining\n"
	}, patience, time.Millisecond)
	status, _, _ := do(t, ops, request{path: "/healthz"})
	require.Equal(t, http.StatusOK, status)
	require.NoError(t, in.Close())
	require.NoError(t, <-answered)
	require.Zero(t, p.wait())
}

// With its broker gone a server lives and is not ready, and publishers are told.
func TestBrokerAway(t *testing.T) {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	port := freePort(t)
	begin := func() *exec.Cmd {
		cmd := exec.Command(program, "--port", port, "--save", "", "--bind", "127.0.0.1", "--dir", t.TempDir())
		require.NoError(t, cmd.Start())
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		require.Eventually(t, func() bool {
			conn, err := net.Dial("tcp", "127.0.0.1:"+port)
			if err == nil {
				conn.Close()
			}
			return err == nil
		}, patience, 10*time.Millisecond)
		return cmd
	}
	redis := begin()
	_, url := serve(t, nil, "--publish-token", testToken, "--broker", "redis://127.0.0.1:"+port)
	ready := func(want int) {
		t.Helper()
		require.Eventually(t, func() bool {
			status, _, _ := do(t, url, request{path: "/readyz"})
			return status == want
		}, patience, 10*time.Millisecond)
	}
	ready(200)
	publish(t, url, "topic=news", "x")
	require.NoError(t, redis.Process.Kill())
	ready(503)
	status, _, _ := do(t, url, request{path: "/healthz"})
	require.Equal(t, 200, status)
	status, header, _ := do(t, url, request{http.MethodPost, "/publish?topic=news", "x", bearer(testToken)})
	require.Equal(t, 503, status)
	require.NotEmpty(t, header.Get("Retry-After"))
	begin()
	ready(200)
	publish(t, url, "topic=news", "x")
}

// A broker that cannot be had is told without its password.
func TestBrokerRefused(t *testing.T) {
	for url, want := range map[string]string{
		"kafka://user:password@host":                    "no such kind: kafka",
		"redis://user:password@127.0.0.1:1/0":           "redis",
		"postgres://user:password@127.0.0.1:1/x":        "postgres",
		"nats://user:password@127.0.0.1:1":              "nats",
		"file:" + filepath.Join(t.TempDir(), "no", "x"): "no such file",
	} {
		code, _, errs := command(t, "", "serve", "--anonymous", ">", "--listen", "127.0.0.1:0", "--broker", url, "--broker-patience", "2s")
		require.Equal(t, exitFailed, code, url)
		require.Contains(t, errs, want)
		require.NotContains(t, errs, "password")
	}
}

// TLS brings HTTP/2, and so does h2c where it is asked for.
func TestHTTP2(t *testing.T) {
	cert, key := selfSigned(t)
	_, secure := serve(t, nil, "--anonymous", ">", "--tls-cert", cert, "--tls-key", key)
	_, clear := serve(t, nil, "--anonymous", ">", "--h2c")
	_, plain := serve(t, nil, "--anonymous", ">")
	for url, http2 := range map[string]bool{secure: true, clear: true, plain: false} {
		protocols := new(http.Protocols)
		protocols.SetHTTP2(true)
		protocols.SetUnencryptedHTTP2(true)
		transport := &http.Transport{Protocols: protocols, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
		defer transport.CloseIdleConnections()
		res, err := (&http.Client{Transport: transport}).Get(url + "/events?topic=news")
		if !http2 {
			require.Error(t, err)
			continue
		}
		require.NoError(t, err)
		res.Body.Close()
		require.Equal(t, 2, res.ProtoMajor)
		require.Equal(t, http.StatusOK, res.StatusCode)
	}
}

func selfSigned(t *testing.T) (cert, key string) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{{127, 0, 0, 1}}}
	certDER, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	require.NoError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	require.NoError(t, os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certDER}), 0o600))
	require.NoError(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600))
	return cert, key
}
