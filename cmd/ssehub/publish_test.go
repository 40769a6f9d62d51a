package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ssehub-go/ssehub/sse"
)

// stream reads the events of a topic, behind the hello.
func stream(t *testing.T, url string) func() sse.Message {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	res, err := httpClient(t).Do(req)
	require.NoError(t, err)
	t.Cleanup(func() { res.Body.Close() })
	require.Equal(t, http.StatusOK, res.StatusCode)
	dec := sse.NewDecoder(res.Body)
	next := func() (m sse.Message) {
		require.NoError(t, dec.Decode(&m))
		return m
	}
	require.Equal(t, sse.TypeHello, next().Type)
	return next
}

// What is posted is what is read, and its id is the answer.
func TestPublishOne(t *testing.T) {
	_, url := serve(t, nil, "--anonymous", ">", "--publish-token", testToken)
	next := stream(t, url+"/events?topic=news")
	for name, tt := range map[string]struct {
		query, body string
		want        sse.Message
	}{
		"text":            {"topic=news", "hello", sse.Message{Data: []byte("hello")}},
		"JSON, as it is":  {"topic=news&type=paid", `{"order": 7}`, sse.Message{Type: "paid", Data: []byte(`{"order": 7}`)}},
		"several lines":   {"topic=news", "a\r\nb", sse.Message{Data: []byte("a\nb")}},
		"nothing":         {"topic=news", "", sse.Message{Data: []byte{}}},
		"with options":    {"topic=news&key=k&ttl=1m", "x", sse.Message{Data: []byte("x")}},
		"a second topic":  {"topic=other&topic=news", "both", sse.Message{Data: []byte("both")}},
		"for those there": {"topic=news&ephemeral=true", "typing", sse.Message{Data: []byte("typing")}},
	} {
		t.Run(name, func(t *testing.T) {
			var a answer
			require.NoError(t, json.Unmarshal([]byte(publish(t, url, tt.query, tt.body)), &a))
			got := next()
			if tt.query != "topic=news&ephemeral=true" {
				require.Equal(t, a.ID, got.ID)
			} else {
				require.Empty(t, a.ID)
			}
			require.Equal(t, tt.want.Type+" "+string(tt.want.Data), got.Type+" "+string(got.Data))
		})
	}
}

// Each mistake has a status that says whose it is.
func TestPublishRefuses(t *testing.T) {
	_, url := serve(t, nil, "--publish-token", testToken, "--max-event", "1000", "--allowed-origins", "https://app.example")
	for name, tt := range map[string]struct {
		method, path, body string
		header             map[string]string
		status             int
	}{
		"no topic":                {"POST", "/publish", "x", nil, 400},
		"a pattern":               {"POST", "/publish?topic=a.*", "x", nil, 400},
		"a topic with a space":    {"POST", "/publish?topic=a%20b", "x", nil, 400},
		"a type of the hub":       {"POST", "/publish?topic=a&type=ssehub.gap", "x", nil, 400},
		"a type of two lines":     {"POST", "/publish?topic=a&type=x%0Adata:y", "x", nil, 400},
		"a parameter nobody has":  {"POST", "/publish?topic=a&typ=x", "x", nil, 400},
		"two types":               {"POST", "/publish?topic=a&type=x&type=y", "x", nil, 400},
		"a TTL without unit":      {"POST", "/publish?topic=a&ttl=7", "x", nil, 400},
		"an ephemeral with a key": {"POST", "/publish?topic=a&ephemeral=1", "x", map[string]string{"Idempotency-Key": "k"}, 400},
		"too large":               {"POST", "/publish?topic=a", strings.Repeat("x", 1001), nil, 413},
		"too large with its type": {"POST", "/publish?topic=a&type=t", strings.Repeat("x", 999), nil, 413},
		"GET":                     {"GET", "/publish?topic=a", "", nil, 405},
		"another path":            {"POST", "/publish/a", "", nil, 404},
		"a page of another site":  {"POST", "/publish?topic=a", "x", map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, 403},
		"a page that is allowed":  {"POST", "/publish?topic=a", "x", map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://app.example"}, 200},
		"its preflight":           {"OPTIONS", "/publish?topic=a", "", map[string]string{"Origin": "https://app.example"}, 204},
	} {
		t.Run(name, func(t *testing.T) {
			header := bearer(testToken)
			for name, value := range tt.header {
				header[name] = value
			}
			status, got, body := do(t, url, request{tt.method, tt.path, tt.body, header})
			require.Equal(t, tt.status, status, body)
			require.Equal(t, tt.header["Origin"] == "https://app.example", got.Get("Access-Control-Allow-Origin") == "https://app.example")
		})
	}
}

// Publishing again with the same key gives the same id, and the message once.
func TestPublishAgain(t *testing.T) {
	_, url := serve(t, nil, "--anonymous", ">", "--publish-token", testToken)
	next := stream(t, url+"/events?topic=news")
	header := bearer(testToken)
	header["Idempotency-Key"] = "order-7"
	_, _, first := do(t, url, request{http.MethodPost, "/publish?topic=news", "once", header})
	_, _, second := do(t, url, request{http.MethodPost, "/publish?topic=news", "once", header})
	require.Equal(t, first, second)
	publish(t, url, "topic=news", "end")
	require.Equal(t, "once", string(next().Data))
	require.Equal(t, "end", string(next().Data))
}

// batch is a request of many messages that is still being sent.
type batch struct {
	t       *testing.T
	in      *io.PipeWriter
	answers *bufio.Scanner
}

func openBatch(t *testing.T, url string) *batch {
	body, in := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, body)
	require.NoError(t, err)
	req.Header.Set("Content-Type", ndjson)
	req.Header.Set("Authorization", "Bearer "+testToken)
	res, err := httpClient(t).Do(req)
	require.NoError(t, err)
	t.Cleanup(func() { in.Close(); res.Body.Close() })
	return &batch{t, in, bufio.NewScanner(res.Body)}
}

// send sends text and returns the answer to its line.
func (b *batch) send(text string) answer {
	b.t.Helper()
	_, err := io.WriteString(b.in, text+"\n")
	require.NoError(b.t, err)
	return b.answer()
}

func (b *batch) answer() (a answer) {
	b.t.Helper()
	require.True(b.t, b.answers.Scan())
	require.NoError(b.t, json.Unmarshal(b.answers.Bytes(), &a))
	return a
}

// Each line of a batch is answered before the next is sent, and its mistakes are its
// own.
func TestPublishBatch(t *testing.T) {
	_, url := serve(t, nil, "--anonymous", ">", "--publish-token", testToken, "--max-event", "1000")
	next := stream(t, url+"/events?topic=news")
	b := openBatch(t, url+"/publish?topic=news")
	for name, tt := range map[string]struct {
		line string
		want string // type and data
		code int
	}{
		"text":            {`{"data": "a\nb"}`, "_ a\nb", 0},
		"JSON":            {`{"type": "paid", "data": {"order": 7}}`, `paid {"order": 7}`, 0},
		"a number":        {`{"data": 7}`, "_ 7", 0},
		"no data":         {`{"topic": "news"}`, "_ ", 0},
		"further topics":  {`{"topic": "other", "topics": ["news"], "data": "x"}`, "_ x", 0},
		"all the options": {`{"data": "y", "key": "k", "ttl": "1m", "idempotencyKey": "i"}`, "_ y", 0},
		"no JSON":         {`hello`, "", 400},
		"a typo":          {`{"date": "x"}`, "", 400},
		"two objects":     {`{"data": 1} {"data": 2}`, "", 400},
		"a pattern":       {`{"topic": "a.*"}`, "", 400},
		"too large":       {`{"data": "` + strings.Repeat("x", 1001) + `"}`, "", 413},
	} {
		t.Run(name, func(t *testing.T) {
			a := b.send(tt.line)
			require.Equal(t, tt.code, a.Status, a.Error)
			if tt.code == 0 {
				m := next()
				require.Equal(t, tt.want, cmp.Or(m.Type, "_")+" "+string(m.Data))
				require.Equal(t, m.ID, a.ID)
			}
		})
	}
	require.NoError(t, b.in.Close())
	require.False(t, b.answers.Scan())
	require.NoError(t, b.answers.Err())
}

// What a batch takes is bounded, in a line, in all and in time. (row 42)
func TestPublishBatchBounds(t *testing.T) {
	_, url := serve(t, nil, "--publish-token", testToken, "--max-event", "1000", "--max-batch", "9000", "--idle", "300ms")
	t.Run("a line", func(t *testing.T) {
		b := openBatch(t, url+"/publish?topic=news")
		require.Equal(t, 413, b.send(strings.Repeat("x", 7000)).Status)
		require.False(t, b.answers.Scan())
	})
	t.Run("in all", func(t *testing.T) {
		b := openBatch(t, url+"/publish?topic=news")
		lines := 0
		for ; b.send(`{"data":"`+strings.Repeat("x", 900)+`"}`).Status == 0; lines++ {
			require.Less(t, lines, 10)
		}
		require.Equal(t, 9, lines)
	})
	t.Run("in time", func(t *testing.T) {
		b := openBatch(t, url+"/publish?topic=news")
		require.Zero(t, b.send(`{"data":"x"}`).Status)
		require.Equal(t, 408, b.answer().Status)
	})
	t.Run("one message in time", func(t *testing.T) {
		body, in := io.Pipe()
		defer in.Close()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/publish?topic=news", body)
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+testToken)
		began := time.Now()
		res, err := httpClient(t).Do(req)
		if err == nil { // it may also be cut
			res.Body.Close()
			require.Equal(t, 400, res.StatusCode)
		}
		require.Less(t, time.Since(began), patience)
	})
}
