package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/alecthomas/kong"

	"github.com/ssehub-go/ssehub"
)

// serveCmd is the server: its flags, by subject.
type serveCmd struct {
	Config kong.ConfigFlag `placeholder:"FILE" help:"JSON object of the flags below, such as {\"anonymous\": [\"news\"]}."`

	Listen        string        `default:"127.0.0.1:8080" help:"Address to listen on; port 0 picks a free one."`
	OpsListen     string        `placeholder:"ADDR" help:"Another address for /healthz, /readyz and /metrics, which are then only there."`
	TLSCert       string        `placeholder:"FILE" and:"tls" help:"Certificate chain, PEM. With it the server speaks TLS, HTTP/1.1 and HTTP/2."`
	TLSKey        string        `placeholder:"FILE" and:"tls" help:"Its key, PEM."`
	H2C           bool          `name:"h2c" help:"Take HTTP/2 without TLS too, from a proxy that speaks it."`
	MetricsTopics []string      `placeholder:"TOPIC" help:"Topics and patterns that have series of their own in /metrics."`
	Drain         time.Duration `default:"10s" help:"How long SIGTERM gives streams and requests to end."`
	LogLevel      slog.Level    `default:"info" help:"debug, info, warn or error."`
	LogJSON       bool          `name:"log-json" help:"Log in JSON."`

	Auth   authFlags   `embed:"" group:"Who may read and publish:"`
	Broker brokerFlags `embed:"" group:"The log:"`
	Hub    hubFlags    `embed:"" group:"Streams:"`

	MaxEvent int           `default:"1048576" group:"Publishing:" help:"Bytes of one message, its data, type and topics."`
	MaxBatch int64         `default:"67108864" group:"Publishing:" help:"Bytes of one request of many messages; negative means no limit."`
	Idle     time.Duration `default:"1m" group:"Publishing:" help:"How long a request may bring nothing before it ends."`
}

func (serveCmd) Help() string {
	return `Publish with POST /publish?topic=NAME, read with GET /events?topic=NAME; docs/server.md
has the whole of it. Nobody may do anything unless a flag says so.

A flag of the command line goes before the environment (SSEHUB_PUBLISH_TOKEN is
--publish-token; lists have commas), that before the file of --config, and the file
before the default.

SIGTERM ends the streams spread out over --drain, each client with its own time to come
back, and then the program; a second one ends it at once.

Examples:

    # anybody may read news and all below it, who has the token may publish
    SSEHUB_PUBLISH_TOKEN=... ssehub serve --anonymous 'news,news.>'

    # a log that outlives the process, and tokens of an identity provider
    ssehub serve --broker file:events.db --jwks https://id.example/jwks.json \
        --jwt-issuer https://id.example/ --jwt-audience events

    # one of several servers behind a proxy at 10.0.0.0/8
    ssehub serve --listen :8080 --broker nats://nats:4222 --tokens tokens.json \
        --allowed-origins https://app.example --trusted-proxies 10.0.0.0/8`
}

// Run serves until ctx ends, and then drains.
func (c *serveCmd) Run(ctx context.Context, std stdio) error {
	log := c.logger(std)
	life, end := context.WithCancel(context.WithoutCancel(ctx)) // of what the server keeps up while it drains
	defer end()
	auth, err := c.Auth.open(life, log)
	if err != nil {
		return err
	}
	broker, closeBroker, err := c.Broker.open(ctx)
	if err != nil {
		return err
	}
	defer closeBroker()
	opts := c.Hub.options()
	opts.Broker, opts.MaxEventSize, opts.Authorize, opts.Logger = broker, c.MaxEvent, auth.authorize, log
	hub := ssehub.New(opts)
	defer hub.Close()

	s := &server{cmd: c, hub: hub, auth: auth, log: log, draining: ctx}
	public, ops, err := s.routes()
	if err != nil {
		return err
	}
	return s.serve(ctx, public, ops)
}

func (c *serveCmd) logger(std stdio) *slog.Logger {
	opts := &slog.HandlerOptions{Level: c.LogLevel}
	if c.LogJSON {
		return slog.New(slog.NewJSONHandler(std.err, opts))
	}
	return slog.New(slog.NewTextHandler(std.err, opts))
}
