// Package harbour keeps which ship lies at which berth.
package harbour

import (
	"errors"
	"sort"
	"sync"
	"time"

	"github.com/google/uuid"
)

// ErrFull says that every berth is taken.
var ErrFull = errors.New("every berth is taken")

// ErrNoShip says that no ship has this id.
var ErrNoShip = errors.New("there is no such ship here")

// Ship is one that lies in the harbour.
type Ship struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Arrived time.Time `json:"arrived"`
}

// Harbour has a number of berths. Several requests may use it at once.
type Harbour struct {
	mutex  sync.Mutex
	berths int
	ships  map[string]Ship
}

// New makes an empty harbour.
func New(berths int) *Harbour {
	return &Harbour{berths: berths, ships: map[string]Ship{}}
}

// Arrive gives a ship a berth and an id.
func (harbour *Harbour) Arrive(name string, now time.Time) (Ship, error) {
	harbour.mutex.Lock()
	defer harbour.mutex.Unlock()
	if len(harbour.ships) >= harbour.berths {
		return Ship{}, ErrFull
	}
	ship := Ship{ID: uuid.NewString(), Name: name, Arrived: now.UTC()}
	harbour.ships[ship.ID] = ship
	return ship, nil
}

// Leave frees a ship's berth.
func (harbour *Harbour) Leave(id string) error {
	harbour.mutex.Lock()
	defer harbour.mutex.Unlock()
	if _, here := harbour.ships[id]; !here {
		return ErrNoShip
	}
	delete(harbour.ships, id)
	return nil
}

// Ships lists who is here, the longest first.
func (harbour *Harbour) Ships() []Ship {
	harbour.mutex.Lock()
	defer harbour.mutex.Unlock()
	ships := make([]Ship, 0, len(harbour.ships))
	for _, ship := range harbour.ships {
		ships = append(ships, ship)
	}
	sort.Slice(ships, func(a, b int) bool { return ships[a].Arrived.Before(ships[b].Arrived) })
	return ships
}
