package main

import (
	"fmt"

	"tandem/cdr/priority"
)

// ServeCmd is `tandem serve`.
type ServeCmd struct {
	ConfigFlag
	Without []string `hidden:"" enum:"media,rating,journal" help:"For measuring: leave a part out to see what it costs. No such node carries calls that matter."`
}

// Run serves until interrupted, then hangs up what is left and writes it down.
func (c ServeCmd) Run(env *environment) error {
	config, err := c.load()
	if err != nil {
		return err
	}
	tuneMemory()
	priority.Calls()
	config.Without = c.Without
	log := newLogger(env.stderr, config.Log)
	node, err := StartNode(env.ctx, config, log)
	if err != nil {
		return err
	}
	log.Info("node is up", "node", config.Node, "version", version, "portal", node.URL())
	fmt.Fprintf(env.stdout, "tandem %s: node %s is up, portal at %s\n", version, config.Node, node.URL())
	<-env.ctx.Done()
	log.Info("node is stopping", "calls", len(node.engine.Live()))
	node.Close()
	return nil
}
