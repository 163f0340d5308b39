"""Plays `tests/e2e` here: the real kubectl and helm, an API server in memory, and pods as processes of this machine.

    python -m tests.pods.e2e FOLDER [ROOT]

Runs this machine's programs, with the root folder of a built image what is in that image. Enters a sandbox by itself.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from tests.pods import sandbox
from tests.pods.images import ROOT, Images
from tests.pods.node import ApiNode
from tools.helm_binary import find

IMAGE = "localhost/ance:0.1.0-cpu"
COMMAND = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--capture=no", "tests/e2e")
OPTIONS = ("E2E_REDIS_IMAGE", "E2E_VOLUME")
"""Of tests/e2e, which are for other clusters."""


async def play(folder: Path, images: Images) -> int:
    """Run the test in a new folder. Returns its exit status.

    Raises:
        ManifestError: something could not be run as its manifest says.
        Refusal: the API server does not let a pod of a workload in.
    """
    async with ApiNode(folder / "node", images) as node:
        test = await asyncio.create_subprocess_exec(*COMMAND, cwd=ROOT, env=environment(folder, node))
        ended = asyncio.create_task(test.wait())
        running = asyncio.create_task(node.run())
        await asyncio.wait([ended, running], return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            print(node.describe(), flush=True)
            test.kill()
            await running
        running.cancel()
        return await ended


def environment(folder: Path, node: ApiNode) -> dict[str, str]:
    """Variables of a test on this node; its tools keep what they remember of a cluster to themselves."""
    home = folder / "home"
    home.mkdir(parents=True)
    tools = {tool.upper(): str(find(tool)) for tool in ("helm", "kubectl")}
    ours = {"HOME": str(home), "KUBECONFIG": str(node.api.kubeconfig(home)), "E2E_IMAGE": IMAGE}
    return {name: value for name, value in os.environ.items() if name not in OPTIONS} | tools | ours


def main() -> int:
    """Enter the sandbox, then play."""
    if sandbox.INSIDE not in os.environ:
        command = sandbox.inside([sys.executable, "-m", "tests.pods.e2e", *sys.argv[1:]])
        os.execvpe(command[0], command, {**os.environ, sandbox.INSIDE: "1"})
    folder, *root = map(Path, sys.argv[1:])
    return asyncio.run(play(folder, Images(root=root[0] if root else None)))


if __name__ == "__main__":
    sys.exit(main())
