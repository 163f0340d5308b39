"""An API server of Kubernetes in memory: real HTTP, real resource versions, and faults on demand."""
