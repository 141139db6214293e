"""Kubernetes clusters for development and tests: kind, one node on this machine, or an existing cluster.

The product never imports this package.

    cli.py                  the command chatfleet-cluster
    which.py                which kind of cluster the other commands use
    clusters.py             the protocol Cluster, and Status
    kind.py                 a cluster in Docker, by kind
    kubeconfig_cluster.py   the cluster of the user's kubeconfig
    local.py, node.py       one node on this machine, without Docker (Linux, root)
      requirements.py         what the machine must have
      layout.py, cidrs.py     names, paths and addresses of a cluster
      bootstrap.py            its keys, kubeconfigs and configuration files (certificates.py, config_files.py)
      components.py           its processes and their command lines
      processes.py            starting and checking them (cgroups.py: the control groups that hold them)
      api.py                  requests to its API server
      images.py               images from buildah into containerd
    controlplane.py         an API server and etcd alone, without root, for tests
    binaries.py             the programs, built from the Go modules in ../go
    progress.py, locks.py, waiting.py, errors.py
"""
