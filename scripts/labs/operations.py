"""What a student does with a lab: start it, check a fix, see the solution, take it apart."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from scripts.aws.sealed import REGION_WITHOUT_CLOUD, sealed_environment
from scripts.console import UserError
from scripts.files import locked, private_folder
from scripts.labs import common, connection, progress, servers, trial
from scripts.labs.lab import Hint, Lab, labs
from scripts.labs.progress import Progress
from scripts.labs.running import RECORD, STATE, LabRun, Record
from scripts.labs.trial import Outcome, Trial
from scripts.labs.workspace import Workspace
from scripts.local_run import leftovers
from scripts.local_run.cloud import PROJECT, start_cloud
from scripts.local_run.flow import exclusive
from scripts.local_run.leftovers import LABS
from scripts.local_run.roots import FEW_RETRIES
from scripts.localcloud import home as localhome
from scripts.localcloud.home import CloudDown, administrator
from scripts.stack.attached import attached
from scripts.stack.binary import StackError, find_binary
from scripts.stack.roots import provider_cache, without_registry
from scripts.stack.stack import Stack, reporting

WORKSPACE = "keyless-labs"
"""Beside the student's home: the student's files."""
LOCK_FILE = PROJECT / "terraform" / "bootstrap" / ".terraform.lock.hcl"


@dataclass
class Verdict:
    """What a check found. `solved`: every attack was refused and every need works."""

    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def solved(self) -> bool:
        """Whether the fix is accepted; a check that tried nothing accepts nothing."""
        kinds = {outcome.kind for outcome in self.outcomes}
        return kinds == {"attack", "need"} and all(outcome.good for outcome in self.outcomes)


def home_of_labs(home: Path) -> Path:
    """The student's home: the given one, or above it if that is a lab's.

    env.sh leads a shell to a lab's home, also after that lab was reset.
    """
    of_lab = home.parent.name == LABS and home.name in {lab.slug for lab in labs()}
    return home.parent.parent if of_lab else home


def is_lab_home(home: Path) -> bool:
    """Whether the home is that of a lab's cloud."""
    return home.parent.name == LABS and (home / RECORD).exists()


def refuse_in_lab(home: Path) -> None:
    """Raise UserError if the home is a lab's: env.sh leads every verb of that shell there."""
    if is_lab_home(home):
        raise UserError(
            f"{home} is the cloud of lab {home.name}",
            why="the lab's env.sh set KEYLESS_HOME in this shell",
            fix="unset KEYLESS_HOME, or use another terminal; keyless lab reset ends a lab",
            exit_code=2,
        )


class Labs:
    """The labs of one student, in `home`; `tell` gets a line for each thing that is done."""

    def __init__(self, home: Path, tell: Callable[[str], None] = lambda _: None) -> None:
        self.home = home_of_labs(home.absolute())
        self.workspace = Workspace(self.home.parent / WORKSPACE)
        self._tell = tell

    # progress

    @property
    def progress_file(self) -> Path:
        """Where the points are kept."""
        return self.workspace.root / progress.FILE

    def progress(self) -> Progress:
        """The student's points. Raises UserError for a damaged file."""
        return progress.load(self.progress_file)

    def _noting(self) -> AbstractContextManager[Progress]:
        return progress.changing(self.progress_file)

    # a lab's cloud

    def cloud_home(self, lab: Lab) -> Path:
        """The state directory of the lab's cloud."""
        return self.home / LABS / lab.slug

    def state(self, lab: Lab) -> str:
        """`running`, `ended` (its cloud is gone), or `not started`."""
        home = self.cloud_home(lab)
        if not (home / RECORD).exists():
            return "not started"
        try:
            localhome.load(home)
        except CloudDown:
            return "ended"
        return "running"

    def running(self, lab: Lab) -> LabRun:
        """The started lab. Raises UserError (exit code 2) if it was not started."""
        home = self.cloud_home(lab)
        start = f"keyless lab start {lab.number}"
        try:
            record = Record.load(home)
            if not record.ready:
                raise ValueError("start was interrupted")
        except FileNotFoundError:
            raise UserError(f"Lab {lab.number} is not started", fix=start, exit_code=2) from None
        except (OSError, ValueError, TypeError):
            why = "an earlier start did not come to its end"
            raise UserError(
                f"Lab {lab.number} is not started", why=why, fix=start, exit_code=2
            ) from None
        try:
            cloud = localhome.load(home)
        except CloudDown as down:
            raise UserError(
                f"The cloud of lab {lab.number} does not run",
                why=str(down),
                fix=f"{start}   (your files in {self.workspace.folder(lab)} stay as they are)",
                exit_code=2,
            ) from None
        run = LabRun(lab, cloud, self.workspace, record)
        run.outputs = run.applied_outputs()
        return run

    def start(self, lab: Lab) -> tuple[LabRun, bool]:
        """Deploy the vulnerable variant; a running lab is left as it is (and False returned).

        The student's files stay as they are, if there are any; else they are laid out again.
        Raises UserError.
        """
        with self._alone(lab):
            if self.state(lab) == "running":
                with suppress(UserError):  # interrupted while it was deployed
                    run = self.running(lab)
                    if not any(run.folder.glob("*.tf")):
                        self._lay_out_again(run)
                    return run, False
            run = self._begin(lab)
        with self._noting() as noted:
            reached = noted.of(lab)
            reached.started = reached.started or _moment(run.record.started)
        return run, True

    def _begin(self, lab: Lab) -> LabRun:
        """Lay out the files, start the cloud, deploy; after a failure nothing of it is left."""
        home, fresh = self.cloud_home(lab), not self.workspace.folder(lab).exists()
        if any(home.iterdir()):
            leftovers.wipe(home)
        try:
            self.workspace.lay_out(lab, LOCK_FILE)
            setup = home / "setup"
            shutil.copytree(lab.setup, setup)
            shutil.copy(LOCK_FILE, setup / LOCK_FILE.name)
            self._tell("starting the lab's cloud; terraform init")
            with ThreadPoolExecutor(1) as beside:
                installed = beside.submit(_install, home, setup)
                cloud = start_cloud(home)
                installed.result()
            run = LabRun(lab, cloud, self.workspace, Record.new(lab))
            run.save()
            # What another team has made in the account before.
            getattr(lab.check, "before", lambda _: None)(run)
            self._apply(run, setup)
            self._tell("preparing what the attacker has found")
            run.record.kept[NAMES] = named(run.outputs)
            lab.check.prepare(run)
            connection.write(run)
            lab.check.leak(run)
            run.record.ready = True
            run.save()
        except BaseException:
            leftovers.wipe(home)
            if fresh:
                self.workspace.put_away(lab)
            raise
        return run

    def _lay_out_again(self, run: LabRun) -> None:
        """What somebody deleted of a running lab's folder, with what the lab gave."""
        if not run.folder.exists():
            self.workspace.lay_out(run.lab, LOCK_FILE)
        self.workspace.overlay(run.lab, run.lab.setup, missing=True)
        self.workspace.overlay(run.lab, run.attacker, missing=True)
        connection.write(run)

    def _apply(self, run: LabRun, root: Path) -> None:
        """Apply a folder's Terraform as the account's administrator."""
        process = run.environment(administrator(run.home), FEW_RETRIES)
        stack = _stack(run.home, root, process)
        if not stack.initialised or _has_modules(root):
            self._tell("terraform init")
            stack.init()
        self._tell("terraform apply")
        with attached(stack.data_dir, process) as provider:
            _stack(run.home, root, process | provider).apply(reporting(self._tell))
        run.outputs = run.applied_outputs()

    # the student's moves

    def flag(self, lab: Lab, text: str) -> bool:
        """Take a flag; whether it is right. Raises UserError if the lab is not started."""
        run = self.running(lab)
        if not run.is_flag(text):
            return False
        with self._noting() as noted:
            progress.flag_found(noted.of(lab))
        return True

    def job(self, lab: Lab, words: list[str]) -> str:
        """Run the lab's protected job as the student may start it; returns what it printed."""
        run = self.running(lab)
        start = getattr(lab.check, "job", None)
        if start is None:
            raise UserError(
                f"Lab {lab.number} has no protected job",
                fix="keyless lab job 13 WORDS",
                exit_code=2,
            )
        with self._alone(lab):
            return str(start(run, words))

    def check(self, lab: Lab) -> Verdict:
        """Deploy the student's files, try every attack and every need. Raises UserError."""
        from botocore.exceptions import ClientError

        run = self.running(lab)
        with self._alone(lab):
            if not any(run.folder.glob("*.tf")):
                raise UserError(
                    f"There is no Terraform in {run.folder}",
                    why="the check deploys what you have there",
                    fix=f"keyless lab start {lab.number}   (lays out what is missing)",
                    exit_code=2,
                )
            again = f"edit {run.folder}, then keyless lab check {lab.number}"
            _compiled(run, again)
            # What attacks and drills left, where it would keep Terraform from its work.
            getattr(lab.check, "tidy", lambda _: None)(run)
            if "group" in run.outputs:
                servers.release_groups(run, str(run.outputs["group"]))
            try:
                self._apply(run, run.folder)
            except StackError as failure:
                wants_init = "terraform init" in (failure.why or "")
                raise UserError(
                    "Terraform does not take your files",
                    why=failure.why,
                    fix=f"{ONE_PROVIDER if wants_init else ''}{again}",
                    exit_code=2,
                ) from None
            _same_names(run, again)
            try:
                lab.check.prepare(run)
            except ClientError as failure:
                raise UserError(
                    "The check cannot put in place what it tries your fix with",
                    why=str(failure),
                    fix=f"keep the resources that the pipeline needs: {again}",
                    exit_code=2,
                ) from None
            verdict = self.judge(run)
        with self._noting() as noted:
            reached = noted.of(lab)
            reached.checks += 1
            if verdict.solved:
                progress.fix_accepted(reached)
        return verdict

    def judge(self, run: LabRun) -> Verdict:
        """Try every attack and every need against what is deployed."""
        check = run.lab.check
        verdict = Verdict()
        for kind, trials in (("attack", attacks_of(run.lab)), ("need", check.NEEDS)):
            for one in trials:
                self._tell(f"{kind}: {one.what}")
                verdict.outcomes.append(
                    trial.attack(one, run) if kind == "attack" else trial.need(one, run)
                )
        return verdict

    def hint(self, lab: Lab) -> tuple[list[Hint], bool]:
        """The hints so far with one more, and whether that one is new; it costs its points.

        What was reached stays: when nothing more can be earned, it costs none.
        """
        with self._noting() as noted:
            reached = noted.of(lab)
            new = reached.hints < len(lab.hints)
            if new:
                if not (reached.solved or reached.shown):
                    reached.hint_points += lab.hints[reached.hints].cost
                reached.hints += 1
            return list(lab.hints[: reached.hints]), new

    def solve(self, lab: Lab, fix: str | None = None) -> tuple[Path | None, str]:
        """Put a fix into the student's folder; returns the backup of theirs, and the fix's name.

        What was not reached before earns nothing from now on. Raises UserError.
        """
        name = fix or next(iter(lab.fixes))
        if name not in lab.fixes:
            raise UserError(
                f"Lab {lab.number} has no fix {name!r}",
                why=f"its fixes are {', '.join(lab.fixes)}",
                exit_code=2,
            )
        self.running(lab)
        with self._noting() as noted:
            noted.of(lab).shown = True
        backup = self.workspace.keep(lab)
        for path in (lab.setup, lab.fixes[name]):
            self.workspace.overlay(lab, path)
        return backup, name

    def reset(self, lab: Lab) -> Path | None:
        """End a lab and remove its files; returns the backup of what the student wrote."""
        self._end([lab])
        return self.workspace.put_away(lab)

    def reset_all(self) -> list[Path]:
        """End every lab and forget the points; returns the backups of what the student had."""
        self._end(labs())
        backups = [backup for lab in labs() if (backup := self.workspace.put_away(lab))]
        with locked(self.workspace.root):
            kept = self.workspace.keep_file(self.progress_file)
        if kept:
            if self._nothing_reached(kept):
                kept.unlink()
                kept.parent.rmdir()
                if not any(kept.parent.parent.iterdir()):
                    kept.parent.parent.rmdir()
            else:
                backups.append(kept)
        self.workspace.tidy()
        return backups

    def end_all(self) -> int:
        """End every lab's processes, and keep every file of the student; returns how many ended."""
        return self._end(labs(), alone=False)

    def _end(self, chosen: Iterable[Lab], *, alone: bool = True) -> int:
        """End what runs of some labs, also where somebody removed a home beneath it."""
        ended, marked = 0, leftovers.marked()
        for lab in chosen:
            home = self.cloud_home(lab)
            if home.is_dir() or marked & {str(home), str(home.resolve())}:
                with self._alone(lab) if alone else nullcontext(private_folder(home)):
                    ended += leftovers.wipe(home)
                    home.rmdir()
        self._tidy()
        return ended

    @staticmethod
    def _nothing_reached(path: Path) -> bool:
        found = progress.load(path)
        return not any(one.earned or one.hints or one.checks for one in found.labs.values())

    def _tidy(self) -> None:
        for folder in (self.home / LABS, self.home):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()

    @contextmanager
    def _alone(self, lab: Lab) -> Iterator[None]:
        home = private_folder(self.cloud_home(lab))
        self.home.chmod(0o700)
        with exclusive(home, what=f"`keyless lab` command for lab {lab.number}"):
            yield


@dataclass(frozen=True)
class _NoCloud:
    """Stands for the lab's cloud in the environment of a command that asks no cloud."""

    home: Path
    endpoint: str = "https://127.0.0.1:9"
    region: str = REGION_WITHOUT_CLOUD

    @property
    def ca_bundle(self) -> Path:
        return self.home / "no-authority.pem"


def _install(home: Path, root: Path) -> None:
    """`terraform init`, which needs no cloud: it goes beside the start of one."""
    _stack(home, root, sealed_environment(_NoCloud(home), None, leftovers.mark(home))).init()


def _stack(home: Path, root: Path, process: dict[str, str]) -> Stack:
    """A folder's Terraform, with the lab's one state."""
    binary = find_binary(home)
    process = {**provider_cache(process), **process}
    return Stack(
        root,
        binary=binary,
        environment={**without_registry(process, binary, LOCK_FILE), **process},
        data_dir=home / "terraform",
        state=home / STATE,
    )


def attacks_of(lab: Lab) -> list[Trial]:
    """attack.py itself, the bucket without credentials, then the ways that the check knows."""
    bucket = 'output "bucket"' in (lab.setup / "main.tf").read_text(encoding="utf-8")
    return [
        Trial("the lab's own", _script),
        *([common.ANYBODY] if bucket else []),
        *lab.check.ATTACKS,
    ]


def named(outputs: Mapping[str, Any]) -> dict[str, str]:
    """The names by which others know what the lab deployed."""
    known = ("bucket", "role", "train_role", "promote_role", "group")
    return {name: str(outputs[name]) for name in known if name in outputs}


def _compiled(run: LabRun, again: str) -> None:
    """Raise UserError for a Python file that no interpreter takes: nothing of it can be judged."""
    for name, path in run.workspace.files(run.lab):
        if path.suffix == ".py":
            try:
                compile(path.read_bytes(), str(name), "exec", dont_inherit=True)
            except (SyntaxError, ValueError) as failure:
                line = getattr(failure, "lineno", None)
                raise UserError(
                    f"Python does not take {name}" + (f", line {line}" if line else ""),
                    why=getattr(failure, "msg", None) or str(failure),
                    fix=again,
                    exit_code=2,
                ) from None


def _same_names(run: LabRun, again: str) -> None:
    """Raise UserError if an output names something new: the check would look past the old one."""
    now = named(run.outputs)
    for name, old in run.record.kept.get(NAMES, {}).items():
        if now.get(name, old) != old:
            raise UserError(
                f"The output {name!r} is {now[name]}, and was {old}",
                why="workflows, people and the check know it by that name",
                fix=f"keep the name {old}: {again}",
                exit_code=2,
            )


def _script(run: LabRun) -> str:
    environment = connection.environment(run, run.attacker)
    command = [sys.executable, str(run.lab.attack)]
    done = run.run(command, environment, folder=run.attacker)
    flag = run.find_flag(done.stdout)
    if flag is not None:
        return flag
    said = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()[-1]
    if done.returncode == ATTACK_REFUSED:
        raise trial.Refused(said)
    raise UserError(f"attack.py ended with {done.returncode} and no flag", why=said)


NAMES = "names"
ONE_PROVIDER = (
    "take out what `terraform init` would bring (a backend, another provider): a lab keeps its "
    "state itself, and has the AWS provider alone; "
)
ATTACK_REFUSED = 3
"""Exit code of an attack.py that a control stopped."""


def _has_modules(root: Path) -> bool:
    return any("module " in path.read_text(errors="replace") for path in root.glob("*.tf"))


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
