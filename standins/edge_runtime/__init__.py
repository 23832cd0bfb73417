"""A device with IoT Edge's runtime, small enough to read: broker, hub, agent and workload API, on this machine.

The broker is a real one, mosquitto, with TLS. The rest stands in for edgeHub and edgeAgent, whose images cannot be had
everywhere: twins, direct methods, routes, store and forward, and modules as containers of the Docker engine.
"""
