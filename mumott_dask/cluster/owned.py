"""A client that ends what it has started."""

from __future__ import annotations

from typing import Any

from distributed import Client


class OwningClient(Client):
    """A client that ends its cluster with itself, as one that has started it does."""

    def close(self, *arguments: Any, **named: Any) -> Any:
        """Close the client, then the cluster."""
        cluster = self.cluster
        closed = super().close(*arguments, **named)
        if cluster is not None:
            cluster.close()
        return closed
