package exposed_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/internal/exposed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// All fields are looked at, those of the broker too.
func TestFields(t *testing.T) {
	shown := map[string]bool{}
	exposed.Fields(t, nil, func(s ssehub.Stats, topic ssehub.TopicStats) string {
		text := fmt.Sprintf("%+v %+v", s, topic)
		shown[text] = true
		return text
	})
	require.Greater(t, len(shown), 30)
}
