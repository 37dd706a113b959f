"""What a model server needs to know, and where it finds the rest."""

from dataclasses import asdict, dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from pipeline.model import families
from pipeline.model.place import Place
from pipeline.outputs import Platform
from pipeline.rollouts.policy import Set


@dataclass(frozen=True)
class Limits:
    """Bounds of a request, and of what may wait."""

    body_bytes: int = 8 << 20
    bodies_bytes: int = 128 << 20  # of all requests together, beyond which only small ones come in
    small_bytes: int = 64 << 10
    rows: int = 10_000
    waiting: int = 1024
    copies: int = 256
    hang_seconds: float = 10.0
    body_seconds: float = 30.0


@dataclass(frozen=True)
class Pace:
    """How often the server looks, writes and reports, in seconds.

    `copies` is the longest pause between two groups of copies for a challenger.
    """

    policy: float = 2.0
    champion: float = 5.0
    log: float = 60.0
    metrics: float = 10.0
    feedback: float = 0.2
    ready: float = 2.0
    copies: float = 5.0

    def times(self, factor: float) -> "Pace":
        """Every pause longer or shorter by a factor."""
        return Pace(**{name: value * factor for name, value in asdict(self).items()})


@dataclass(frozen=True)
class Served(Place):
    """The model that is served, and where it lies."""

    name: str
    platform: Platform | None = None
    folder: Path | None = None

    @property
    def model(self) -> str:
        """The model's name."""
        return self.name


@dataclass(frozen=True)
class Config:
    """One server. `state` is a folder of its own, which outlives a restart."""

    place: Served
    state: Path
    server: str
    set_name: Set | None = None
    trusted_types: tuple[str, ...] = field(default_factory=lambda: tuple(families.trusted_types()))
    limits: Limits = Limits()
    pace: Pace = Pace()


class InstanceSettings(BaseModel):
    """/etc/keyless/serving.json, as terraform/modules/model_server writes it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    environment: str
    region: str
    model: str
    set: Set
    port: int
    trusted_types: list[str] = []
    wheelhouse: str
