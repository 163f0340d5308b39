"""A cluster of one node for tests: rendered manifests run as local processes.

`sandbox` makes namespaces in which an unprivileged user is root. In them, `cluster` reconciles what is applied
(`controllers`), a `pod` has a network namespace of its own (`network`) and supervises its containers (`supervisor`,
`probes`), and each start of a container (`container`, `shim`) is process 1 in a mount namespace with a read-only root,
its volumes (`volumes`) at their real paths, and no rights. `service` stands for kube-proxy and DNS. What differs from
Kubernetes: no scheduler, no ReplicaSets, resource limits are not enforced, and images are this machine's programs.

`cluster` by itself runs what `helm template` printed. `node` runs what is on the API server of `tests/kubernetes_api`,
a `kubelet` for each namespace, so that kubectl and helm work on it as on any cluster: `e2e` plays `tests/e2e` that way.
"""
