package mgmt

import (
	"testing"

	"github.com/tradewind-io/tradewind/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }
