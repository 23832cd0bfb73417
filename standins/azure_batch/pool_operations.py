"""Batch's operations on pools and nodes, which Azure Resource Manager makes and this only shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from standins.azure_batch.common import Answer, Base, Request
from standins.azure_batch.errors import BatchError, missing
from standins.azure_batch.listing import page, selected

if TYPE_CHECKING:
    from standins.azure_batch.pools import Pool
    from standins.azure_batch.state import Document


class PoolOperations(Base):
    """On pools and nodes."""

    def _pool(self, request: Request) -> Pool:
        return self.need_pool(request.account, request.parts["pool"], 404)

    def list_pools(self, request: Request) -> Answer:
        """GET /pools."""
        pools = [self._shown(request, one) for one in self.pools_in(request.account)]
        return Answer(200, page(pools, request.query, request.url + request.path))

    def get_pool(self, request: Request) -> Answer:
        """GET and HEAD /pools/ID."""
        return Answer(200, selected(self._shown(request, self._pool(request)), request.query))

    def _shown(self, request: Request, pool: Pool) -> dict[str, Any]:
        about, body = self.nodes.about(pool), pool.body
        scale = body.get("scaleSettings") or {}
        return {
            "id": pool.id,
            "url": f"{request.url}/pools/{pool.id}",
            "state": "active",
            "allocationState": about["allocationState"],
            "vmSize": body["vmSize"].lower(),
            "currentDedicatedNodes": about["have"][0],
            "currentLowPriorityNodes": about["have"][1],
            "targetDedicatedNodes": about["wanted"][0],
            "targetLowPriorityNodes": about["wanted"][1],
            "resizeErrors": [{"code": "AllocationFailed", "message": one} for one in about["errors"]],
            "enableAutoScale": "autoScale" in scale,
            "autoScaleFormula": (scale.get("autoScale") or {}).get("formula"),
            "taskSlotsPerNode": pool.slots,
            "metadata": body.get("metadata") or [],
        }

    def _node(self, request: Request) -> tuple[Pool, Document]:
        pool = self._pool(request)
        node = self.state.get("node", pool.key, request.parts["node"])
        if node is None:
            raise missing("Node", request.parts["node"])
        return pool, node

    def list_nodes(self, request: Request) -> Answer:
        """GET /pools/ID/nodes."""
        return self.listed(request, self.nodes.of(self._pool(request)))

    def get_node(self, request: Request) -> Answer:
        """GET /pools/ID/nodes/ID."""
        return self.one(request, self._node(request)[1])

    def preempt(self, request: Request) -> Answer:
        """POST /standin/pools/ID/preempt: take a low-priority node away, by default one that has work."""
        pool = self._pool(request)
        nodes = [
            one for one in self.nodes.of(pool) if not one.shown["isDedicated"] and one.state in {"idle", "running"}
        ]
        given = (request.body or {}).get("node")
        found = (
            [one for one in nodes if one.id == given] if given else sorted(nodes, key=lambda one: one.state == "idle")
        )
        if not found:
            raise BatchError(409, "NodeNotReady", "There is no such low-priority node to take away.")
        self.nodes.preempt(found[0])
        return Answer(200, {"node": found[0].id, "state": "preempted"})
