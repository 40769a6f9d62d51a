package main

import (
	"net/netip"
	"time"

	"github.com/ssehub-go/ssehub"
)

// hubFlags are those of ssehub.Options.
type hubFlags struct {
	HistoryEvents int           `default:"10000" help:"Events of each topic that clients can resume from; negative means no limit."`
	HistoryBytes  int64         `default:"1048576" help:"Bytes of these."`
	HistoryAge    time.Duration `default:"10m" help:"Age of these."`
	MaxHistory    int64         `default:"1073741824" help:"Bytes of all topics' history together."`
	Latest        []string      `placeholder:"PATTERN" help:"Topics that keep the newest message of each key."`
	Overflow      string        `enum:"skip,disconnect" default:"skip" help:"What happens to readers that lag behind the history: skip (and be told) or disconnect."`

	Heartbeat time.Duration `default:"15s" help:"How long a stream may be quiet."`
	Retry     time.Duration `default:"2s" help:"When clients should come back."`
	MaxAge    time.Duration `help:"How long a stream lasts, a tenth more or less; 0 is for ever."`

	AllowedOrigins []string `placeholder:"ORIGIN" help:"Other sites whose pages may read and publish, such as https://app.example. '*': any may read, without cookies."`
	AllowedHosts   []string `placeholder:"NAME" help:"Names that streams may be asked for. The default is all, but on loopback only its own."`

	MaxTopics      int            `default:"64" help:"Topics of one stream."`
	MaxStreams     int            `help:"Streams in all; 0 here and below means no limit."`
	MaxPerSubject  int            `help:"Streams of one subject of a token."`
	MaxPerAddr     int            `help:"Streams of one client address."`
	MaxPerTopic    int            `help:"Streams of one topic."`
	ConnectRate    float64        `help:"New streams in a second."`
	LimitsAllHubs  bool           `help:"Count subjects and addresses on all servers of a broker."`
	TrustedProxies []netip.Prefix `placeholder:"CIDR" help:"Proxies whose X-Forwarded-For names the client."`
}

func (f *hubFlags) options() *ssehub.Options {
	policy := ssehub.SkipToOldest
	if f.Overflow == "disconnect" {
		policy = ssehub.Disconnect
	}
	latest := patterns(f.Latest)
	return &ssehub.Options{
		History:    ssehub.Retention{Events: f.HistoryEvents, Bytes: f.HistoryBytes, Age: f.HistoryAge},
		MaxHistory: f.MaxHistory,
		OverflowFor: func(topic string) ssehub.Overflow {
			if latest.match(topic) {
				return ssehub.Latest
			}
			return policy
		},
		Heartbeat: f.Heartbeat, Retry: f.Retry, MaxAge: f.MaxAge, MaxTopics: f.MaxTopics,
		AllowedOrigins: f.AllowedOrigins, AllowedHosts: f.AllowedHosts,
		Limits: ssehub.Limits{
			Streams: f.MaxStreams, PerSubject: f.MaxPerSubject, PerAddr: f.MaxPerAddr, PerTopic: f.MaxPerTopic,
			ConnectRate: f.ConnectRate, AllHubs: f.LimitsAllHubs, TrustedProxies: f.TrustedProxies,
		},
	}
}
