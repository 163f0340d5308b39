"""All ranks train on the same negatives at every step, whoever is slow, and stop before the same step."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ance.runtime.contracts import ArtifactRef
from ance.runtime.holds import VersionHold
from ance.runtime.layout import RunLayout
from ance.runtime.settings import load
from ance.runtime.store import Store
from services.trainer import fresh_negatives
from services.trainer.boundary import NOTHING, OFFER, UNREADABLE, Boundary, Wish
from services.trainer.duties import Follower
from services.trainer.fresh_negatives import FreshNegatives, NegativesVersion
from services.trainer.ranks import Place, Ranks, join
from tests.ranks import together
from tests.services.conftest import NewRun
from tests.services.service_run import background, wait_until

LAST, DELETED = 100, 40


def version(step: int) -> NegativesVersion:
    ref = ArtifactRef(step=step, manifest_uri=f"{step}", manifest_sha256="0" * 64, created_at=0.0)
    return NegativesVersion(ref, 0.0, negatives=None)  # type: ignore[arg-type]


@dataclass
class Fresh:
    """What the thread beside training would have found."""

    newest: NegativesVersion | None = None
    failing: bool = False


@dataclass
class Peers:
    """The other ranks, as a test plays them."""

    leads: bool
    others: Sequence[tuple[int, int]] = ()
    posted: dict[str, str] = field(default_factory=dict)
    said: list[int] = field(default_factory=list)

    def exchange(self, numbers: Sequence[int]) -> list[list[int]]:
        self.said = list(numbers)
        others = [list(row) for row in self.others]
        return [self.said, *others] if self.leads else [*others, self.said]

    def post(self, subject: str, text: str) -> None:
        self.posted[subject] = text


def boundary(peers: Peers, fresh: Fresh, stop: bool = False) -> Boundary:
    return Boundary(peers, fresh, lambda: stop)  # type: ignore[arg-type]


def offered(peers: Peers) -> int:
    return ArtifactRef.model_validate_json(peers.posted[OFFER]).step


def test_rank_0_uses_a_version_only_when_all_have_it() -> None:
    fresh, peers = Fresh(version(10)), Peers(leads=True, others=[(0, NOTHING)])
    meeting = boundary(peers, fresh)
    assert meeting.meet() and meeting.version is None and offered(peers) == 10
    peers.others = [(0, 10)]
    assert meeting.meet() and meeting.version is fresh.newest


def test_an_offer_stands_while_newer_versions_come_so_that_a_slow_rank_can_catch_up() -> None:
    fresh, peers = Fresh(version(10)), Peers(leads=True, others=[(0, NOTHING)])
    meeting = boundary(peers, fresh)
    meeting.meet()
    fresh.newest = version(30)
    meeting.meet()
    assert offered(peers) == 10
    peers.others = [(0, 10)]
    meeting.meet()
    assert meeting.version is not None and meeting.version.step == 10
    meeting.meet()
    assert offered(peers) == 30


def test_an_offer_that_a_rank_cannot_read_makes_way_for_a_newer_one() -> None:
    fresh, peers = Fresh(version(10)), Peers(leads=True, others=[(0, UNREADABLE)])
    meeting = boundary(peers, fresh)
    meeting.meet()
    fresh.newest = version(20)
    meeting.meet()
    assert offered(peers) == 20 and meeting.version is None


def test_another_rank_uses_what_rank_0_offers_and_says_when_it_cannot_read_it() -> None:
    fresh, peers = Fresh(), Peers(leads=False, others=[(0, 10)])
    meeting = boundary(peers, fresh)
    meeting.meet()
    assert peers.said == [0, NOTHING]
    fresh.failing = True
    meeting.meet()
    assert peers.said == [0, UNREADABLE] and meeting.version is None
    fresh.newest, fresh.failing = version(10), False
    assert meeting.meet() and meeting.version is fresh.newest and not peers.posted


@pytest.mark.parametrize("leads", [True, False])
def test_the_wish_of_any_rank_to_stop_stops_all(leads: bool) -> None:
    assert not boundary(Peers(leads, others=[(Wish.STOP, NOTHING)]), Fresh()).meet()
    assert not boundary(Peers(leads, others=[(0, NOTHING)]), Fresh(), stop=True).meet()


@pytest.mark.parametrize("leads", [True, False])
def test_all_finish_with_the_same_step_when_rank_0_says_so_but_the_wish_to_stop_is_stronger(leads: bool) -> None:
    fresh = Fresh()
    finishing = Boundary(Peers(leads, others=[(Wish.GO_ON, NOTHING)]), fresh, lambda: False, lambda: True)  # type: ignore[arg-type]
    told = boundary(Peers(leads, others=[(Wish.FINISH, NOTHING)]), fresh)
    assert finishing.meet() and finishing.finishing
    assert told.meet() and told.finishing
    assert not boundary(Peers(leads, others=[(Wish.FINISH, NOTHING)]), fresh, stop=True).meet()
    assert boundary(Peers(leads, others=[(Wish.GO_ON, NOTHING)]), fresh).meet()


def cross(url: str, run: str, cache: Path) -> list[int]:
    """The version that this rank uses at each step, until rank 0 has seen the last one."""
    place, store, layout = load(Place), Store.open(url), RunLayout(run)
    rng = random.Random(place.rank)
    fetch = fresh_negatives.fetch

    def slow(store: Store, ref: ArtifactRef, folder: Path) -> Path:
        time.sleep(rng.uniform(0, 0.15 * place.rank))
        if place.rank == 2 and (ref.step == DELETED or rng.random() < 0.2):
            raise FileNotFoundError(ref.manifest_uri)
        return fetch(store, ref, folder)

    fresh_negatives.fetch = slow  # type: ignore[assignment]
    with join(place, "cpu", 30.0, stop=lambda: False) as ranks:
        (cache / f"joined{place.rank}").touch()
        look: Any = partial(store.read_pointer, layout.pointer("negatives"))
        if not place.leads:
            look = Follower(store, layout, cache, ranks, lambda: False).newest_negatives
        versions: list[int] = []
        hold = VersionHold(store, layout, f"rank-{place.rank}")
        with FreshNegatives(store, hold, look, cache, poll_seconds=0.002) as fresh:
            crossing = Boundary(ranks, fresh, lambda: place.leads and versions[-1:] == [LAST])
            while crossing.meet():
                versions.append(NOTHING if crossing.version is None else crossing.version.step)
                time.sleep(rng.uniform(0, 0.01))
        return versions


def test_three_processes_use_the_same_version_at_every_step_whatever_delays_and_bursts_do(new_run: NewRun) -> None:
    run = new_run()

    def publish_in_bursts() -> None:
        rng = random.Random(7)
        wait_until(lambda: len(list(run.cache.glob("joined*"))) == 3, seconds=60)
        for step in range(10, LAST + 1, 10):
            run.publish_negatives(step)
            if rng.random() < 0.6:
                time.sleep(rng.uniform(0.2, 0.6))

    with background(publish_in_bursts, stop=lambda: None):
        one, *others = together(cross, run.store.url, run.config.run, run.cache, size=3)
    assert all(other == one for other in others)
    assert one == sorted(one), "never back to an older one"
    assert one[0] == NOTHING and one[-1] == LAST and DELETED not in one
    assert len(set(one)) > 3, "some were taken on the way"


def test_a_single_process_uses_the_newest_at_once() -> None:
    fresh = Fresh(version(10))
    meeting = Boundary(Ranks(Place(rank=0, world_size=1, local_rank=0)), fresh, lambda: False)  # type: ignore[arg-type]
    for step in (10, 30):
        fresh.newest = version(step)
        assert meeting.meet() and meeting.version is fresh.newest
