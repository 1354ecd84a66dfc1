"""The kernel a report runs in: this very Python, whatever kernels a user has installed; gone when the run is over."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import Any

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from traitlets import Dict, Unicode
from traitlets.config import Config

from salesml.workspace import Workspace


class OwnKernel(AsyncKernelManager):
    """Starts `sys.executable` in `folder` with `environment`; on clean-up it kills the kernel's whole process group."""

    environment = Dict().tag(config=True)
    folder = Unicode().tag(config=True)
    _group: int | None = None

    def _kernel_spec_manager_default(self) -> KernelSpecManager:
        return KernelSpecManager(parent=self, kernel_dirs=[])  # leaves ipykernel's native spec, which is sys.executable

    async def start_kernel(self, **options: Any) -> None:  # type: ignore[override]
        """Start it in a session of its own."""
        await super().start_kernel(**{**options, "env": {**os.environ, **self.environment}, "cwd": self.folder})
        self._group = self.provisioner.pgid  # type: ignore[union-attr]

    async def cleanup_resources(self, restart: bool = False) -> None:  # type: ignore[override]
        """Release the ports and end what the kernel's cells have started and left running."""
        await super().cleanup_resources(restart=restart)
        if self._group is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._group, signal.SIGKILL)
            self._group = None


def options(workspace: Workspace, folder: str) -> dict[str, Any]:
    """Keyword arguments for papermill that make it use OwnKernel, for this workspace, in this folder."""
    environment = {"SALESML_WORKSPACE": str(workspace.root), "PLOTLY_RENDERER": "plotly_mimetype"}
    return {
        "kernel_name": "python3",
        "language": "python",
        "kernel_manager_class": OwnKernel,
        "config": Config(OwnKernel={"environment": environment, "folder": folder, "transport_encryption": "required"}),
        "shutdown_kernel": "immediate",
    }
