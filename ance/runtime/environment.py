"""Settings from environment variables."""

from pydantic_settings import BaseSettings, SettingsConfigDict


class Environment(BaseSettings):
    """Each field is the variable of its name with the prefix ANCE_; one that is set to nothing counts as not set."""

    model_config = SettingsConfigDict(
        env_prefix="ANCE_", env_ignore_empty=True, frozen=True, use_attribute_docstrings=True
    )
