"""A small Kubernetes of two nodes on this machine, from Go modules and the system's packages: to test and to try."""
