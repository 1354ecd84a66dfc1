"""The kernels of the Voila server behind the front; only that server imports this, for Jupyter takes seconds to import."""

from __future__ import annotations

from typing import Any

from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
from traitlets import Integer


class Kernels(AsyncMappingKernelManager):
    """Kernels of which those waiting for a reader are not taken for idle, and never more than `most` with a reader."""

    most = Integer(12, help="Kernels that readers may have at a time; the one untouched longest gives way.").tag(config=True)

    def _waiting(self) -> set[str]:
        """Kernels started ahead of their readers."""
        tasks = [task for pool in getattr(self, "_pools", {}).values() for task in pool]
        return {task.result()["kernel_id"] for task in tasks if task.done() and not task.cancelled() and task.exception() is None}

    async def cull_kernel_if_idle(self, kernel_id: str) -> None:
        """End a kernel that has been idle for too long, unless it waits for its first reader."""
        if kernel_id not in self._waiting():
            await super().cull_kernel_if_idle(kernel_id)

    async def start_kernel(self, **options: Any) -> str:  # type: ignore[override]
        """Start a kernel; where there are too many, the one untouched longest is ended first."""
        taken = sorted(set(self.list_kernel_ids()) - self._waiting(), key=lambda one: self._kernels[one].last_activity)
        for one in taken[: max(0, len(taken) - self.most + 1)]:
            await self.shutdown_kernel(one)
        return await super().start_kernel(**options)
