"""The endpoints, a module a topic; each makes a router from the service."""
