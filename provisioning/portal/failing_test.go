package portal_test

import (
	"context"
	"errors"

	"tandem"
)

type failing struct{}

func (failing) CDRs(context.Context, tandem.CDRFilter) ([]tandem.CDR, error) {
	return nil, errors.New("secret")
}
