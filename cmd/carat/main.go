package main

import "io"

type environment struct {
	getenv         func(string) string
	stdout, stderr io.Writer
}

func main() { newServeCommand(environment{}) }
