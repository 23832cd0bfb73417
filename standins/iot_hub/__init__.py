"""Stand-in for an IoT hub: its REST interface over HTTPS on loopback, and a way for devices to take part."""

API_VERSION = "2021-04-12"
