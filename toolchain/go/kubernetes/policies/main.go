// What has the cluster keep to its NetworkPolicies: the kernel asks it about the first packet of each connection.
//
// The controller is of kube-network-policies. Its own rules, of nftables, are for the pods of one node and take an
// option of the kernel that not all have; here iptables leads the packets of all nodes to it.
package main

import (
	"context"
	"flag"
	"os"
	"os/signal"
	"syscall"

	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	"sigs.k8s.io/kube-network-policies/pkg/networkpolicy"
)

func main() {
	access := flag.String("kubeconfig", "", "how to reach the API server")
	queue := flag.Int("queue", 0, "the number of the queue to which iptables leads packets")
	flag.Parse()
	if err := run(*access, *queue); err != nil {
		klog.Error(err)
		os.Exit(1)
	}
}

func run(access string, queue int) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	config, err := clientcmd.BuildConfigFromFlags("", access)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	watched := informers.NewSharedInformerFactory(client, 0)
	policies, core := watched.Networking().V1().NetworkPolicies(), watched.Core().V1()
	// No node has this name, so that its own rules are about no pod.
	settings := networkpolicy.Config{QueueID: queue, NodeName: "none", FailOpen: true, NFTableName: "slipway-policies"}
	controller, err := networkpolicy.NewController(
		client, policies, core.Namespaces(), core.Pods(), nil, nil, nil, nil, settings,
	)
	if err != nil {
		return err
	}
	watched.Start(ctx.Done())
	return controller.Run(ctx)
}
