"""What a service does with the API server of Kubernetes, where ANCE_KUBERNETES is true; nothing needs it.

The client package is heavy, so it is imported when a cluster is opened, and not before.
"""
