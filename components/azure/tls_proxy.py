"""What speaks HTTPS in front of a model: nginx in a container beside it. The model's own port is then not published."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pulumi
from pulumi_azure_native import containerinstance as aci

from manifest.targets.aci import PROXY_CPU, PROXY_MEMORY_MIB

if TYPE_CHECKING:
    from manifest.azure import TlsSettings

PORT = 443
_VOLUME = "tls"
_FOLDER = "/etc/slipway"
_CONFIGURATION = f"""\
worker_processes auto;
pid /tmp/nginx.pid;
error_log /dev/stderr warn;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  server_tokens off;
  upstream model {{ server 127.0.0.1:@PORT@; keepalive 64; }}
  server {{
    listen {PORT} ssl;
    ssl_certificate {_FOLDER}/certificate.pem;
    ssl_certificate_key {_FOLDER}/key.pem;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache shared:tls:4m;
    # Sizes and times are the model's own matter, and nothing is written to a disk.
    client_max_body_size 0;
    proxy_request_buffering off;
    proxy_buffering off;
    proxy_read_timeout 1d;
    location / {{
      proxy_pass http://model;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-Proto https;
    }}
  }}
}}
"""


def container(tls: TlsSettings) -> aci.ContainerArgs:
    """Return the container."""
    return aci.ContainerArgs(
        name="tls",
        image=tls.proxy,
        command=["nginx", "-c", f"{_FOLDER}/nginx.conf", "-g", "daemon off;"],
        ports=[aci.ContainerPortArgs(port=PORT, protocol=aci.ContainerNetworkProtocol.TCP)],
        resources=aci.ResourceRequirementsArgs(
            requests=aci.ResourceRequestsArgs(cpu=PROXY_CPU, memory_in_gb=round(PROXY_MEMORY_MIB / 1024 + 0.05, 1))
        ),
        volume_mounts=[aci.VolumeMountArgs(name=_VOLUME, mount_path=_FOLDER, read_only=True)],
    )


def volume(tls: TlsSettings, key: str, port: int) -> aci.VolumeArgs:
    """Return the volume with what the container reads.

    Args:
        tls: The stack's configuration.
        key: The certificate's key.
        port: Where the model answers in the group.
    """
    files = {
        "nginx.conf": _CONFIGURATION.replace("@PORT@", str(port)),
        "certificate.pem": tls.certificate,
        "key.pem": key,
    }
    encoded = {name: base64.b64encode(text.encode()).decode() for name, text in files.items()}
    return aci.VolumeArgs(name=_VOLUME, secret=pulumi.Output.secret(encoded))
