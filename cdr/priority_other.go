//go:build !linux

package cdr

func lowerPriority() {}
