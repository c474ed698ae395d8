//go:build !linux

package priority

func Calls()  {}
func Batch()  {}
func Engine() {}
