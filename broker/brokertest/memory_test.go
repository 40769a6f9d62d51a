package brokertest_test

import (
	"errors"
	"testing"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/broker/brokertest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

func TestMemory(t *testing.T) {
	brokertest.Run(t, brokertest.Harness{
		New:  func(testing.TB) ssehub.Broker { return new(brokertest.Memory) },
		Trim: func(_ testing.TB, b ssehub.Broker, first uint64) { b.(*brokertest.Memory).Trim(first) },
		Restart: func(_ testing.TB, b ssehub.Broker) ssehub.Broker {
			b.(*brokertest.Memory).Reset()
			return b
		},
		Forgets: true,
	})
}

func TestMemoryOutage(t *testing.T) {
	b := new(brokertest.Memory)
	brokertest.RunOutage(t, brokertest.Outage{
		Open: func(testing.TB) ssehub.Broker { return b },
		Down: func(testing.TB) { b.Fail(errors.New("engine down")) },
		Up:   func(testing.TB) { b.Fail(nil) },
	})
}

func TestMemoryLosses(t *testing.T) {
	b := new(brokertest.Memory)
	brokertest.RunLosses(t, brokertest.Losses{
		Open: func(testing.TB) ssehub.Broker { return b },
		Trims: map[string]func(testing.TB, uint64){
			"trimmed": func(_ testing.TB, first uint64) { b.Trim(first) },
			"emptied": func(testing.TB, uint64) { b.Trim(1 << 53) },
		},
		Ends: map[string]func(testing.TB){"reset": func(testing.TB) { b.Reset() }},
	})
}
