"""The service's processes and connections: HTTP/1.1, routes, workers and the master that keeps them."""
