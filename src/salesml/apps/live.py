"""The Voila server behind the front, as a process of its own: kernels kept warm, idle ones ended, none left when the front is gone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from salesml.apps.frame import LIVE
from salesml.workspace import Workspace

LOOPBACK = "127.0.0.1"
HERE = Path(__file__).parent
# nothing an app shows comes from outside; the browser is told so
OWN_ASSETS_ONLY = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; frame-ancestors 'self'"


def start(workspace: Workspace, notebooks: Path, port: int, idle: int, warm: Mapping[str, int], most: int) -> subprocess.Popen[bytes]:
    """Start the server of a folder of notebooks at a port of 127.0.0.1; it ends by itself when its standard input is closed.

    `idle`: seconds after which an unused kernel is ended; `warm`: by app how many kernels wait for readers; `most`: see kernels.Kernels.
    """
    pools = {"default": {"pool_size": 0}} | {f"{name}.ipynb": {"pool_size": size} for name, size in warm.items()}
    options = [
        str(notebooks),
        f"--Voila.ip={LOOPBACK}",
        f"--Voila.base_url={LIVE}",
        f"--port={port}",
        "--Voila.open_browser=False",
        "--Voila.port_retries=0",
        "--KernelManager.transport_encryption=auto",  # what kernels say stays between them and the server
        "--template=salesml",
        "--strip_sources=True",
        "--preheat_kernel=True",
        "--pool_size=0",
        f"--VoilaKernelManager.kernel_pools_config={pools}",
        f"--VoilaConfiguration.multi_kernel_manager_class={__package__}.kernels.Kernels",
        f"--Kernels.most={most}",
        f"--MappingKernelManager.cull_idle_timeout={idle}",
        f"--MappingKernelManager.cull_interval={max(2, idle // 10)}",
        "--MappingKernelManager.cull_connected=True",  # a page left open is no reader
        f"--Voila.tornado_settings={ {'headers': {'Content-Security-Policy': OWN_ASSETS_ONLY}} }",
    ]
    templates = os.pathsep.join(filter(None, (str(HERE), os.environ.get("JUPYTER_PATH"))))
    environment = {**os.environ, "SALESML_WORKSPACE": str(workspace.root), "JUPYTER_PREFER_ENV_PATH": "1", "JUPYTER_PATH": templates}
    command = [sys.executable, "-m", __name__, json.dumps(options)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, env=environment, start_new_session=True)


def stop(server: subprocess.Popen[bytes], patience: float = 15.0) -> None:
    """End the server and its kernels; what has not ended in time is killed (kernels end by themselves when their server is gone)."""
    if server.stdin is not None:
        server.stdin.close()
    try:
        server.wait(patience)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def main() -> None:
    """Run Voila with the options in the first argument until standard input ends: so it ends with its parent, however that ends."""
    from voila.app import Voila

    def watch() -> None:
        sys.stdin.buffer.read()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
    Voila.launch_instance(json.loads(sys.argv[1]))


if __name__ == "__main__":
    main()
