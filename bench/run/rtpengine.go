package main

import (
	"context"
	"fmt"
	"os/exec"
	"time"
)

// proxied is Kamailio with Debian's rtpengine in userspace, as the media
// peer. Both run on the system's core.
type proxied struct {
	*plain
	relay *child
}

func newProxied() system {
	return &proxied{plain: kamailioWith("kamailio+rtpengine", "-A", "WITH_RTPENGINE")}
}

func (p *proxied) start(ctx context.Context, r *rig) error {
	program, err := exec.LookPath("rtpengine")
	if err != nil {
		return fmt.Errorf("rtpengine is not installed: run `make setup-bench`, or leave the section media out")
	}
	dir, err := r.folder("rtpengine")
	if err != nil {
		return err
	}
	control := r.net + ".40:2223"
	p.relay, err = startChild(systemCore, dir, dir, program, "--config-file=none", "--interface="+r.net+".10", "--listen-ng="+control,
		"--table=-1", "--foreground", "--log-stderr", "--log-level=3", "--num-threads=1", "--port-min=30000", "--port-max=39999", "--no-fallback=false")
	if err != nil {
		return err
	}
	if err := awaitUDP(ctx, p.relay, control); err != nil {
		p.relay.end(time.Second)
		return err
	}
	if err := p.plain.start(ctx, r); err != nil {
		p.relay.end(time.Second)
		return err
	}
	return nil
}

func (p *proxied) pids() []int { return append(p.plain.pids(), p.relay.pid()) }

func (p *proxied) stop() {
	p.plain.stop()
	p.relay.end(2 * time.Second)
}
