// The cluster's storage: makes a folder of this machine into a PersistentVolume for each claim of its class, and
// removes both with the claim.
//
// Runs beside the kubelet as a plain process. Volumes are of type "local", not "hostPath", because only for those does
// the kubelet honour a pod's fsGroup.
package main

import (
	"context"
	"flag"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

type folders struct{ root string }

func (f folders) Provision(
	_ context.Context, want controller.ProvisionOptions,
) (*core.PersistentVolume, controller.ProvisioningState, error) {
	path := filepath.Join(f.root, want.PVName)
	if err := os.MkdirAll(path, 0o777); err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	if err := os.Chmod(path, 0o777); err != nil { // whatever the umask: any user of a pod may write
		return nil, controller.ProvisioningFinished, err
	}
	return &core.PersistentVolume{
		ObjectMeta: meta.ObjectMeta{Name: want.PVName},
		Spec: core.PersistentVolumeSpec{
			AccessModes:                   want.PVC.Spec.AccessModes,
			Capacity:                      want.PVC.Spec.Resources.Requests,
			PersistentVolumeReclaimPolicy: *want.StorageClass.ReclaimPolicy,
			PersistentVolumeSource:        core.PersistentVolumeSource{Local: &core.LocalVolumeSource{Path: path}},
			NodeAffinity:                  &core.VolumeNodeAffinity{Required: on(want.SelectedNodeName)},
		},
	}, controller.ProvisioningFinished, nil
}

func (f folders) Delete(_ context.Context, volume *core.PersistentVolume) error {
	return os.RemoveAll(filepath.Join(f.root, volume.Name))
}

func on(node string) *core.NodeSelector {
	return &core.NodeSelector{NodeSelectorTerms: []core.NodeSelectorTerm{{
		MatchExpressions: []core.NodeSelectorRequirement{{
			Key: core.LabelHostname, Operator: core.NodeSelectorOpIn, Values: []string{node},
		}},
	}}}
}

func main() {
	kubeconfig := flag.String("kubeconfig", "", "how to reach the cluster")
	name := flag.String("provisioner", "", "the provisioner that storage classes name")
	root := flag.String("root", "", "the folder that holds the volumes")
	flag.Parse()
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		klog.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	controller.NewProvisionController(
		ctx, kubernetes.NewForConfigOrDie(config), *name, folders{*root}, controller.LeaderElection(false),
	).Run(ctx)
}
