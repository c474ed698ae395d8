// Package numberplan says what a number is to the North American Numbering Plan.
package numberplan

import "tandem"

// Classify says what kind of destination a number is.
func Classify(number string) tandem.NumberClass { return tandem.ClassInvalid }
