package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
)

func turns(scenario, server, key string, values ...float64) (results []*result) {
	for i, v := range values {
		results = append(results, &result{Scenario: scenario, Server: server, Round: i + 1, Figures: map[string]float64{key: v}})
	}
	return results
}

// TestCompareRoundByRound: a round in which the machine was slow counts like
// another.
func TestCompareRoundByRound(t *testing.T) {
	const key = "deliveries_per_second"
	rep := report{opts: options{scenarios: []scenario{burstScenario}}}
	rep.Results = append(rep.Results, turns("burst", "ours", key, 10, 100, 1000)...)
	rep.Results = append(rep.Results, turns("burst", "bare", key, 5, 50, 100)...)
	rep.summarize()
	if assert.Len(t, rep.Summary, 1, "only for servers that took part") {
		assert.Equal(t, 2.0, rep.Summary[0].Ratio)
		assert.Equal(t, [2]float64{100, 50}, rep.Summary[0].Values)
	}
}

// TestBestPeer: one that lost messages is not the best if another did not.
func TestBestPeer(t *testing.T) {
	const key = "deliveries_per_second"
	rep := report{}
	rep.Results = append(rep.Results, turns("burst", "ours", key, 1000)...)
	rep.Results = append(rep.Results, turns("burst", "bare", key, 900)...)
	rep.Results = append(rep.Results, turns("burst", "go-sse", key, 10)...)
	rep.Results = append(rep.Results, turns("burst", "r3labs", key, 20)...)
	rep.Results = append(rep.Results, turns("burst", "launchdarkly", key, 500)...)
	rep.Results[4].Tally = tally{Expected: 1, Lost: 1}
	most := comparison{figure: key}
	assert.Equal(t, "r3labs", rep.bestPeerIn(burstScenario, most))
	least := comparison{figure: key, less: true}
	assert.Equal(t, "go-sse", rep.bestPeerIn(burstScenario, least))
}

// TestClean: only ours and the bare loop decide, and the loop not where it
// cannot but stand still.
func TestClean(t *testing.T) {
	lossy := func(scenario, server string) report {
		return report{Results: []*result{{Scenario: scenario, Server: server, Tally: tally{Expected: 1, Lost: 1}}}}
	}
	for _, test := range []struct {
		scenario, server string
		want             bool
	}{
		{"burst", "ours", false}, {"burst", "bare", false}, {"replay", "bare-replay", false},
		{"burst", "r3labs", true}, {"slow", "bare", true}, {"slow", "ours", false},
	} {
		rep := lossy(test.scenario, test.server)
		assert.Equal(t, test.want, rep.clean(), "%s, %s", test.scenario, test.server)
	}
}

func TestReportShowsLossesAndFailures(t *testing.T) {
	rep := report{opts: options{scenarios: []scenario{burstScenario}}}
	rep.Results = turns("burst", "r3labs", "deliveries_per_second", 5)
	rep.Results[0].Tally = tally{Expected: 9000, Lost: 1234, Closed: 2}
	rep.Results[0].Failure = "it stood still"
	var out bytes.Buffer
	rep.writeTable(&out)
	for _, want := range []string{"1,234", "2 closed", "r3labs, 1 of 1: it stood still"} {
		assert.Contains(t, out.String(), want)
	}
}

// TestOverview: one row for each server, with what stands in for it.
func TestOverview(t *testing.T) {
	rep := report{opts: options{scenarios: scenarios(), servers: []string{"ours", "bare"}}}
	rep.Results = append(rep.Results, turns("replay", "bare-replay", "mb_per_second", 4321)...)
	rep.Results = append(rep.Results, turns("idle", "ours", "rss_bytes_per_conn", 1234)...)
	assert.Equal(t, "bare", rep.overviewOf("bare")[0])
	assert.Contains(t, rep.overviewOf("bare"), "4,321")
	assert.Contains(t, rep.overviewOf("ours"), "1,234")
	assert.Contains(t, rep.overviewOf("ours"), "-")
}
