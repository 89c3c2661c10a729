// Command pause is the process of a pod's sandbox container: it holds the
// pod's namespaces open, and does nothing until it is told to stop.
//
// As PID 1 of a pod with a shared process namespace it inherits orphans, so it
// collects the ones that ended.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGCHLD)
	for received := range signals {
		if received != syscall.SIGCHLD {
			return
		}
		collect()
	}
}

// collect reaps every child that has ended: signals of one kind are merged, so
// one of them may stand for several children.
func collect() {
	for {
		if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); pid <= 0 || err != nil {
			return
		}
	}
}
