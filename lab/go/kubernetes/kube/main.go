// Command kube holds one Kubernetes node in one file: etcd, the control plane,
// the kubelet, kube-proxy and kubectl, each under its own upstream name.
//
// A component is picked by the first argument ("kube kubelet --config F") or
// by the name that the file is called by (a symbolic link "kubelet" to it).
// One file instead of seven shares the Go code that they have in common, which
// keeps the lab's node image at about a third of the size.
//
// Nothing here changes what a component does: this file only starts it.
package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

// components maps an upstream name to what starts it; each returns an exit code.
var components = map[string]func() int{
	"etcd":                    etcd,
	"kube-apiserver":          cobraCommand(apiserver.NewAPIServerCommand),
	"kube-controller-manager": cobraCommand(controllers.NewControllerManagerCommand),
	"kube-proxy":              cobraCommand(proxy.NewProxyCommand),
	"kube-scheduler":          cobraCommand(func() *cobra.Command { return scheduler.NewSchedulerCommand() }),
	"kubectl":                 cobraCommand(kubectl.NewDefaultKubectlCommand),
	"kubelet":                 cobraCommand(func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) }),
}

// cobraCommand delays building a command until it is chosen: building one
// registers feature gates and flags for the whole process.
func cobraCommand(build func() *cobra.Command) func() int {
	return func() int { return cli.Run(build()) }
}

// etcd does not return on success or failure: its Main exits by itself.
func etcd() int {
	etcdmain.Main(os.Args)
	return 0
}

func main() {
	name := filepath.Base(os.Args[0])
	if _, called := components[name]; !called && len(os.Args) > 1 {
		name = os.Args[1]
		os.Args = os.Args[1:]
	}
	start, known := components[name]
	if !known {
		names := slices.Sorted(maps.Keys(components))
		fmt.Fprintf(os.Stderr, "kube: no component %q; there are: %s\n", name, strings.Join(names, ", "))
		os.Exit(2)
	}
	os.Exit(start())
}
