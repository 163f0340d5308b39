"""The base of every section of a run's configuration."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A frozen group of settings. An unknown key is an error that names the key."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
