"""The life of a release, from install to uninstall, with searches that must never fail.

    python -m tests.pods.story FOLDER [ROOT]

Runs values-cpu.yaml with this machine's programs, on the encoder and the corpus of `tests.system.tiny`. With the root
folder of a built image it runs what is in that image, and the release of `tests/e2e` as a real cluster would get it.
Enters a sandbox by itself.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import httpx

from ance.runtime.layout import RunLayout
from ance.runtime.store import Store
from tests.e2e import test_release
from tests.pods import helm, sandbox
from tests.pods.cluster import Cluster
from tests.pods.images import Images
from tests.pods.pod import Pod
from tests.pods.searches import Searches
from tests.system.tiny import write_beir, write_encoder

RELEASE = "ance"
INSTALL_SECONDS, REFRESH_SECONDS, END_SECONDS = 600, 300, 600

Loss = Literal["crashed", "deleted", "evicted"]


@dataclass(frozen=True, slots=True)
class Plot:
    """What is played."""

    values: Sequence[Path]
    run: str
    steps: int
    """The last step of the run."""
    query: str
    losses: Sequence[tuple[str, Loss]]
    """Components of which a pod is lost, each after the index has changed."""
    settings: Sequence[str] = ()
    """`key=value` for Helm."""


HERE = Path(__file__).parent
TINY = Plot(
    values=(helm.CHART / "values-cpu.yaml", HERE / "values-secrets.yaml", HERE / "values-story.yaml"),
    run="story",
    steps=300,
    query="ban bel bim",
    losses=(
        ("inferencer", "crashed"),
        ("indexer", "crashed"),
        ("trainer", "crashed"),
        ("trainer", "evicted"),
        ("inferencer", "deleted"),
    ),
)
BUILT = Plot(
    values=(*test_release.VALUES, HERE / "values-secrets.yaml"),
    run="demo",
    steps=test_release.LAST_STEP,
    query=test_release.QUERY,
    losses=tuple((component, "crashed") for component in test_release.LOST),
    settings=("redis.image.repository=ance",),
)


class Story:
    """One telling.

    Args:
        plot: what happens.
        cluster: where it happens.
        folder: of the cluster.
    """

    def __init__(self, plot: Plot, cluster: Cluster, folder: Path) -> None:
        self._plot = plot
        self._cluster = cluster
        self._store = Store.open(f"file://{folder}/claims/{RELEASE}-store")
        self._layout = RunLayout(plot.run)
        self._began = time.monotonic()
        self._crashed = 0

    async def play(self) -> None:
        """Install, train and search, lose pods, upgrade, finish, test, uninstall."""
        await self._install()
        async with Searches(self._cluster.address(f"{RELEASE}-search-api", 80), self._plot.query) as searches:
            await self._lose_pods(searches)
            await self._upgrade(searches)
            await self._finish(searches)
            await self._cluster.test()
            self._tell("helm test passed")
        assert not searches.failures, f"{len(searches.failures)} searches failed: {searches.failures[:3]}"
        self._assert_undisturbed()
        await self._cluster.uninstall()
        self._tell(f"uninstalled; {searches.succeeded} searches, 0 failed, versions {searches.versions}")
        assert not self._events("outlived its grace period:")

    async def _install(self) -> None:
        cluster = self._cluster
        await cluster.apply(self._rendered())
        await cluster.until(lambda: self._job("prepare"), INSTALL_SECONDS, "data set and run")
        self._tell("prepared")
        for workload, replicas in (("inferencer", 2), ("indexer", 1), ("search-api", 2)):
            await cluster.until(
                lambda workload=workload, replicas=replicas: self._ready(workload) == replicas,  # type: ignore[misc]
                INSTALL_SECONDS,
                f"{replicas} ready pods of {workload}",
            )
            self._tell(f"{workload} ready")
        search = f"{RELEASE}-search-api"
        await cluster.until(lambda: len(cluster.endpoints(search)) == 2, INSTALL_SECONDS, "both endpoints of search")
        await self._assert_metrics()

    async def _lose_pods(self, searches: Searches) -> None:
        """Crashes and evictions in random order, each after the index has changed."""
        losses = random.Random(os.environ.get("STORY_SEED", "1")).sample(self._plot.losses, len(self._plot.losses))
        for component, loss in losses:
            await self._await_new_version(searches)
            pod = await self._ready_pod(component)
            self._lose(pod, loss)
            self._tell(f"{pod.name} {loss} after version {searches.versions[-1]}")
        await self._await_new_version(searches)

    async def _upgrade(self, searches: Searches) -> None:
        """Both search replicas are replaced while they are asked; the trainer goes on as it is."""
        # One that was evicted may not have its successor yet.
        await self._cluster.until(lambda: bool(self._pods("trainer")), INSTALL_SECONDS, "a trainer")
        before = {pod.name for component in ("search-api", "trainer") for pod in self._pods(component)}
        await self._cluster.apply(self._rendered("searchApi.podAnnotations.release=second", "inferencer.replicas=1"))
        await self._cluster.until(
            lambda: (
                len(self._pods("search-api")) == self._ready("search-api") == 2
                and not {pod.name for pod in self._pods("search-api")} & before
            ),
            INSTALL_SECONDS,
            "two new search replicas",
        )
        assert {pod.name for pod in self._pods("trainer")} <= before, "the upgrade replaced the trainer"
        self._tell(f"upgraded after {searches.succeeded} searches")

    async def _finish(self, searches: Searches) -> None:
        await self._cluster.until(lambda: self._job("trainer"), END_SECONDS, "the end of training")
        await self._cluster.until(lambda: self._plot.steps in searches.versions, END_SECONDS, "the last index to serve")
        keys = sorted(self._store.list(self._layout.all_series))
        steps = [json.loads(line)["step"] for key in keys for line in self._store.read(key).splitlines()]
        assert steps == list(range(1, self._plot.steps + 1)), f"steps were lost or repeated: {steps}"
        self._tell("training finished, the last index serves")

    async def _assert_metrics(self) -> None:
        """Every pod answers on the port that its manifest names `metrics`."""
        async with httpx.AsyncClient(trust_env=False) as client:
            for component in ("trainer", "inferencer", "indexer", "search-api"):
                for pod in self._pods(component):
                    response = await client.get(f"http://{pod.address}:{pod.port('metrics')}/metrics")
                    assert "ance_" in response.text, f"{pod.name}: {response.text[:200]}"

    def _assert_undisturbed(self) -> None:
        """Nothing restarted but what was made to, and no probe ended a healthy process."""
        killed, restarts = self._events("probe of"), self._events("restarting")
        assert not killed, f"probes ended processes: {killed}"
        assert len(restarts) <= self._crashed, f"{self._crashed} processes were crashed, but restarted: {restarts}"

    async def _await_new_version(self, searches: Searches) -> None:
        known = len(searches.versions)
        await self._cluster.until(lambda: len(searches.versions) > known, REFRESH_SECONDS, "a newer index")

    async def _ready_pod(self, component: str) -> Pod:
        """A pod that works: the successor of one that was lost may not have begun when the next index serves."""
        await self._cluster.until(lambda: self._ready(component), INSTALL_SECONDS, f"a ready pod of {component}")
        return next(pod for pod in self._pods(component) if pod.ready)

    def _lose(self, pod: Pod, loss: Loss) -> None:
        if loss == "crashed":
            self._crashed += 1
            pod.crash()
        else:
            self._cluster.delete(pod, evicted=loss == "evicted")

    def _rendered(self, *changes: str) -> str:
        return helm.template(RELEASE, self._plot.values, *self._plot.settings, *changes)

    def _pods(self, component: str) -> list[Pod]:
        return [
            pod
            for pod in self._cluster.pods
            if pod.labels.get("app.kubernetes.io/component") == component and not pod.terminating and not pod.finished
        ]

    def _ready(self, component: str) -> int:
        return sum(pod.ready for pod in self._pods(component))

    def _job(self, component: str) -> bool:
        """True once the Job of a component has succeeded."""
        (name,) = (
            job["metadata"]["name"]
            for job in self._cluster.objects("Job")
            if job["metadata"]["labels"]["app.kubernetes.io/component"] == component
        )
        status = self._cluster.job(name)
        assert not status.failed, f"Job {name} failed"
        return status.succeeded

    def _events(self, text: str) -> list[str]:
        return [event for event in self._cluster.events if text in event]

    def _tell(self, text: str) -> None:
        print(f"{time.monotonic() - self._began:6.1f} s  {text}", flush=True)


async def tell(folder: Path, root: Path | None = None) -> None:
    """Play the story in a new folder, of a built image if it has a root."""
    if root is None:
        write_encoder(folder / "image" / "encoder")
        write_beir(folder / "image" / "beir")
    plot, images = (BUILT, Images(root=root)) if root else (TINY, Images({"/opt/story": folder / "image"}))
    async with Cluster(folder / "cluster", images) as cluster:
        try:
            await Story(plot, cluster, folder / "cluster").play()
        except BaseException:
            print(cluster.describe(), flush=True)
            raise


def main() -> None:
    """Enter the sandbox, then play."""
    if sandbox.INSIDE not in os.environ:
        command = sandbox.inside([sys.executable, "-m", "tests.pods.story", *sys.argv[1:]])
        os.execvpe(command[0], command, {**os.environ, sandbox.INSIDE: "1"})
    asyncio.run(tell(*map(Path, sys.argv[1:])))


if __name__ == "__main__":
    main()
