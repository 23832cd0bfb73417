"""The tables of a container's inputs: defaults, what Docker allows, what can be changed in place, what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from standins.docker.rules import between, duration, matches, not_empty, one_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from standins.docker.rules import Rule

# The official plugin's. They are filled in so that an input that goes back to its default is a change like any other.
DEFAULTS: Mapping[str, Any] = {
    "attach": False,
    "containerReadRefreshTimeoutMilliseconds": 15000,
    "logs": False,
    "memoryReservation": 0,
    "mustRun": True,
    "networkMode": "bridge",
    "readOnly": False,
    "removeVolumes": True,
    "restart": "no",
    "rm": False,
    "start": True,
    "stdinOpen": False,
    "tty": False,
    "wait": False,
    "waitTimeout": 60,
}

# Changed by `docker update`, unless they are taken away, which it cannot do.
IN_PLACE = frozenset(
    {
        "cpuPeriod",
        "cpuQuota",
        "cpuSet",
        "cpuShares",
        "maxRetryCount",
        "memory",
        "memoryReservation",
        "memorySwap",
        "restart",
    }
)
# Only read by this plugin: a change of them changes nothing on the engine. (`mustRun` and `start` may start it.)
ON_PAPER = frozenset(
    {
        "attach",
        "containerReadRefreshTimeoutMilliseconds",
        "destroyGraceSeconds",
        "logs",
        "mustRun",
        "removeVolumes",
        "start",
        "wait",
        "waitTimeout",
    }
)

REFUSED = frozenset(
    {
        "attach",
        "deviceCgroupRules",
        "deviceReadBps",
        "deviceReadIops",
        "deviceRequests",
        "deviceWriteBps",
        "deviceWriteIops",
        "gpus",
        "logs",
        "uploads",
    }
)

_PORT = between(1, 65535)
_SIZE = between(0)
RULES: Mapping[str, Rule] = {
    "capabilities.adds[]": not_empty,
    "capabilities.drops[]": not_empty,
    "cgroupnsMode": one_of("private", "host"),
    "command[]": not_empty,
    "cpuPeriod": _SIZE,
    "cpuQuota": _SIZE,
    "cpuSet": matches(r"\d+([,-]\d+)*", 'a list or range of processors, such as "0-1" or "0,2"'),
    "cpuShares": _SIZE,
    "cpus": matches(r"\d+(\.\d+)?|\.\d+", 'a number of processors, such as "1.5"'),
    "destroyGraceSeconds": _SIZE,
    "devices[].permissions": matches(r"[rwm]{1,3}", 'of the letters r, w and m, such as "rwm"'),
    "envs[]": matches(r"(?s)[^=]+(=.*)?", "of the form NAME=value"),
    "healthcheck.interval": duration,
    "healthcheck.retries": _SIZE,
    "healthcheck.startInterval": duration,
    "healthcheck.startPeriod": duration,
    "healthcheck.timeout": duration,
    "image": not_empty,
    "labels[].label": not_empty,
    "maxRetryCount": _SIZE,
    "memory": _SIZE,
    "memoryReservation": _SIZE,
    "memorySwap": between(-1),
    "mounts[].bindOptions.propagation": one_of("private", "rprivate", "shared", "rshared", "slave", "rslave"),
    "mounts[].type": one_of("bind", "volume", "tmpfs"),
    "name": matches(
        r"/?[a-zA-Z0-9][a-zA-Z0-9_.-]+",
        'two or more letters, digits or any of "_.-", and begin with a letter or digit',
    ),
    "ports[].external": between(0, 65535),
    "ports[].internal": _PORT,
    "ports[].protocol": one_of("tcp", "udp", "sctp"),
    "restart": one_of("no", "on-failure", "always", "unless-stopped"),
    "shmSize": _SIZE,
    "stopTimeout": _SIZE,
    "ulimits[].name": not_empty,
    "volumes[].hostPath": matches(r"/.*|[a-zA-Z]:[\\/].*", "an absolute path"),
    "volumes[].selinuxRelabel": one_of("z", "Z"),
    "waitTimeout": between(1),
}
