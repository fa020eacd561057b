// Command calico is, by the name it is called by, Calico's CNI plugin or its address management plugin; called by any
// other name it is those parts of calico-node that a cluster of one node needs: the record of the node and of its pool of
// addresses, tunnel addresses, and felix.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/projectcalico/calico/cni-plugin/pkg/ipamplugin"
	"github.com/projectcalico/calico/cni-plugin/pkg/plugin"
	felix "github.com/projectcalico/calico/felix/daemon"
	"github.com/projectcalico/calico/libcalico-go/lib/logutils"
	"github.com/projectcalico/calico/node/pkg/allocateip"
	"github.com/projectcalico/calico/node/pkg/lifecycle/startup"
	"github.com/sirupsen/logrus"
)

func main() {
	switch filepath.Base(os.Args[0]) {
	case "calico":
		plugin.Main(startup.VERSION)
	case "calico-ipam":
		ipamplugin.Main(startup.VERSION)
	default:
		node()
	}
}

func node() {
	action := ""
	if len(os.Args) == 2 {
		action = os.Args[1]
	}
	logrus.SetOutput(os.Stdout)
	logrus.AddHook(&logutils.ContextHook{})
	logrus.SetFormatter(&logutils.Formatter{Component: action})
	switch action {
	case "startup":
		startup.Run()
	case "tunnel-addrs":
		allocateip.Run(nil)
	case "felix":
		felix.Run("/etc/calico/felix.cfg", startup.VERSION, "", "")
	default:
		fmt.Fprintln(os.Stderr, "usage: calico-node startup|tunnel-addrs|felix")
		os.Exit(2)
	}
}
