"""How to reach Redis, from environment variables. Credentials come by variables and files, never by arguments."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr

from ance.runtime.environment import Environment
from ance.runtime.redis.address import RedisAddress


class RedisSettings(Environment):
    """What every process that uses Redis is told: the services, and `ance queue`."""

    redis_url: str = Field(default="redis://127.0.0.1:6379/0", repr=False)  # it may hold a password
    """URL of Redis, e.g. redis://127.0.0.1:6379/0, or rediss:// for TLS."""
    redis_username: str = ""
    """ACL user of Redis (empty: the default user)."""
    redis_password: SecretStr = SecretStr("")
    """Password of that user. On Kubernetes it comes from a Secret."""
    redis_ca_file: Path | None = None
    """PEM file of the authority that has signed the certificate of Redis (unset: the system's authorities)."""
    redis_cert_file: Path | None = None
    """PEM file of this process's own certificate, where Redis asks for one."""
    redis_key_file: Path | None = None
    """PEM file of the private key of that certificate."""

    @property
    def redis_is_named(self) -> bool:
        """Whether somebody has said where Redis is."""
        return "redis_url" in self.model_fields_set

    @property
    def redis(self) -> RedisAddress:
        """What `ance.runtime.redis.client.connect` takes.

        Raises:
            AnceError: the variables contradict each other, or one names a file that is not there.
        """
        return RedisAddress(
            self.redis_url,
            username=self.redis_username,
            password=self.redis_password.get_secret_value(),
            ca_file=self.redis_ca_file,
            cert_file=self.redis_cert_file,
            key_file=self.redis_key_file,
        )
