package harbour

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAFullHarbourTakesNobodyUntilSomebodyLeaves(t *testing.T) {
	harbour := New(1)
	first, err := harbour.Arrive("Aurora", time.Unix(1, 0))
	require.NoError(t, err)
	_, err = harbour.Arrive("Borealis", time.Unix(2, 0))
	require.ErrorIs(t, err, ErrFull)
	require.NoError(t, harbour.Leave(first.ID))
	require.ErrorIs(t, harbour.Leave(first.ID), ErrNoShip)
	require.Empty(t, harbour.Ships())
}
