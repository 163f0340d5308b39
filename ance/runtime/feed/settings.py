"""How to reach the checkpoint feed, from environment variables. Credentials come by variables and files only."""

from __future__ import annotations

from pathlib import Path

from pydantic import PositiveFloat, SecretStr

from ance.runtime.environment import Environment
from ance.runtime.feed.credentials import FeedCredentials


class FeedSettings(Environment):
    """What both ends of the feed are told."""

    feed_token: SecretStr = SecretStr("")
    """Token that the trainer asks the watchers of its feed for (empty: none). On Kubernetes it comes from a Secret."""
    feed_ca_file: Path | None = None
    """PEM file of the authority whose certificates are believed. Watchers: speak TLS. Trainer: ask watchers for one."""
    feed_cert_file: Path | None = None
    """PEM file of this process's own certificate. Trainer: speak TLS only. Watchers: where the trainer asks for one."""
    feed_key_file: Path | None = None
    """PEM file of the private key of that certificate."""

    @property
    def feed_credentials(self) -> FeedCredentials:
        """What `CheckpointServer` and `CheckpointWatcher` take.

        Raises:
            AnceError: the variables contradict each other, or one names a file that can't be used.
        """
        return FeedCredentials(
            self.feed_token.get_secret_value(), self.feed_ca_file, self.feed_cert_file, self.feed_key_file
        )


class WatcherSettings(FeedSettings):
    """What a process that watches the feed is told."""

    feed: str = ""
    """host:port of the trainer's checkpoint feed. Empty: the checkpoint pointer in the store is polled."""
    poll_seconds: PositiveFloat = 60.0
    """How often the checkpoint pointer is read when the feed is silent."""
