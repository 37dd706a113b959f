"""The list of labs: each is a folder of scripts/labs/catalogue, described by its lab.toml."""

from __future__ import annotations

import importlib
import re
import tomllib
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from types import ModuleType

from scripts.console import UserError

CATALOGUE = Path(__file__).resolve().parent / "catalogue"
ATTACK_POINTS = 40
FIX_POINTS = 60
_FOLDER = re.compile(r"lab(?P<number>\d\d)_(?P<name>[a-z0-9_]+)")


@dataclass(frozen=True)
class Hint:
    """One hint and the points that it costs. Each says more than the one before."""

    cost: int
    text: str


@dataclass(frozen=True)
class Repository:
    """A repository of the lab's GitHub. The student may run jobs there if `writable`.

    Jobs in an environment of `protected` wait for an approval that the student does not get.
    """

    name: str
    id: str
    owner_id: str
    writable: bool = False
    protected: tuple[str, ...] = ()

    @property
    def owner(self) -> str:
        """The owner's name."""
        return self.name.partition("/")[0]


@dataclass(frozen=True)
class Lab:
    """One lab. `minutes` is how long a person new to AWS needs for it.

    `owners` are names on the lab's GitHub that nobody can register, because they are taken.
    """

    number: int
    title: str
    minutes: int
    teaches: str
    folder: Path
    hints: tuple[Hint, ...] = ()
    repositories: tuple[Repository, ...] = ()
    owners: tuple[str, ...] = ()

    @property
    def slug(self) -> str:
        """The lab's name in commands and folders, such as `01-static-keys`."""
        found = _FOLDER.fullmatch(self.folder.name)
        assert found is not None
        return f"{found['number']}-{found['name'].replace('_', '-')}"

    @property
    def setup(self) -> Path:
        """The vulnerable variant: Terraform, and what the student may change beside it."""
        return self.folder / "setup"

    @property
    def attack(self) -> Path:
        """The attack as a script."""
        return self.folder / "attack.py"

    @property
    def fixes(self) -> dict[str, Path]:
        """Right fixes by name: folders whose files replace those of `setup`."""
        return {path.name: path for path in sorted((self.folder / "fix").iterdir())}

    @cached_property
    def check(self) -> ModuleType:
        """The lab's check.py: `prepare`, `ATTACKS` and `NEEDS`."""
        return importlib.import_module(f"{__package__}.catalogue.{self.folder.name}.check")


@cache
def labs() -> tuple[Lab, ...]:
    """Every lab, by number."""
    found = [_read(path) for path in CATALOGUE.iterdir() if _FOLDER.fullmatch(path.name)]
    return tuple(sorted(found, key=lambda lab: lab.number))


def find(name: str) -> Lab:
    """A lab by number (`1`, `01`) or name (`01-static-keys`, `static-keys`).

    Raises UserError (exit code 2).
    """
    for lab in labs():
        if name in (str(lab.number), f"{lab.number:02d}", lab.slug, lab.slug[3:]):
            return lab
    raise UserError(
        f"There is no lab {name!r}",
        why=f"labs are numbered {labs()[0].number} to {labs()[-1].number}",
        fix="keyless lab list",
        exit_code=2,
    )


def _read(folder: Path) -> Lab:
    found = _FOLDER.fullmatch(folder.name)
    assert found is not None
    described = tomllib.loads((folder / "lab.toml").read_text(encoding="utf-8"))
    github = described.pop("github", {})
    return Lab(
        number=int(found["number"]),
        folder=folder,
        title=described.pop("title"),
        minutes=described.pop("minutes"),
        teaches=described.pop("teaches"),
        hints=tuple(Hint(**hint) for hint in described.pop("hints")),
        repositories=tuple(Repository(**one) for one in github.get("repositories", ())),
        owners=tuple(github.get("owners", ())),
    )
