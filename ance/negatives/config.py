"""Settings of negative mining."""

from pydantic import NonNegativeInt, PositiveInt, model_validator

from ance.config import Section


class NegativesConfig(Section):
    """How negatives are mined (paper section 5: top 200 of the index; original code: 20 kept a query)."""

    candidates: PositiveInt = 200
    """Top-k passages of the index that a query's negatives are sampled from."""
    sample: PositiveInt = 20
    """Negatives published for each query and version, sampled uniformly from the candidates."""
    seed: NonNegativeInt = 42

    @model_validator(mode="after")
    def _sample_fits(self) -> "NegativesConfig":
        if self.sample > self.candidates:
            raise ValueError(f"sample ({self.sample}) must not exceed candidates ({self.candidates})")
        return self
