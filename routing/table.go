package routing

import (
	"time"

	"tandem"
)

// Table is the immutable index of a directory; see New.
type Table struct{ cfg Config }

// New indexes a directory. Every broken reference is reported, joined.
func New(cfg Config, dir *tandem.Directory) (*Table, error) {
	return &Table{cfg: cfg}, cfg.Validate()
}

// Plan decides where a call goes.
func (t *Table) Plan(req *tandem.RouteRequest, health tandem.Health, now time.Time) tandem.Plan {
	return tandem.Plan{}
}

func digits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
