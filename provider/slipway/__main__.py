"""Runs the plugin: `python -m provider.slipway ENGINE_ADDRESS`, which the engine does by pulumi-resource-slipway."""

from __future__ import annotations

from provider.protocol import serve
from provider.resource import Package
from provider.slipway import VERSION
from provider.slipway.access_keys import AccessKeys
from provider.slipway.batch_job_schedule import BatchJobSchedule
from provider.slipway.batch_jobs import BatchJobs
from provider.slipway.canary import Canary
from provider.slipway.edge_deployment import EdgeDeployment
from provider.slipway.edge_device import EdgeDevice
from provider.slipway.registered_model import RegisteredModel
from provider.slipway.service_ready import ServiceReady

if __name__ == "__main__":
    resources = (
        AccessKeys(),
        BatchJobs(),
        BatchJobSchedule(),
        Canary(),
        EdgeDeployment(),
        EdgeDevice(),
        RegisteredModel(),
        ServiceReady(),
    )
    serve(Package("slipway", VERSION, {f"slipway:index:{type(one).__name__}": one for one in resources}))
