"""The policy document, its conditional write, and the assignment that follows from it."""

import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import boto3
import pytest
from pydantic import ValidationError

from pipeline.errors import InputError
from pipeline.outputs import Platform
from pipeline.rollouts import policy as document
from pipeline.rollouts.assignment import assign, place, unit
from pipeline.rollouts.plans import RolloutSettings
from pipeline.rollouts.policies import Policies, PolicyChanged
from pipeline.storage import BucketStore, FolderStore, KeyAbsentError, Store

from .conftest import MakePolicy

pytestmark = pytest.mark.slow


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "folder":
        return FolderStore(tmp_path / "store")
    platform: Platform = request.getfixturevalue("aws")
    return BucketStore(platform.artifact_store.bucket, boto3.client("s3"))


@pytest.fixture
def policies(store: Store) -> Policies:
    return Policies(store, "rollouts/small")


def test_a_written_policy_is_read_as_it_was(policies: Policies, make_policy: MakePolicy) -> None:
    assert policies.read() is None
    written = policies.write(make_policy(), None)

    assert policies.read() == written


def test_of_two_writers_who_read_the_same_version_one_wins(
    policies: Policies, make_policy: MakePolicy
) -> None:
    seen = policies.write(make_policy(), None)
    policies.write(make_policy(version=2, why="first"), seen)

    with pytest.raises(PolicyChanged):
        policies.write(make_policy(version=2, why="second"), seen)
    found = policies.read()
    assert found is not None
    assert found.policy.why == "first"


def test_of_two_first_policies_one_wins(policies: Policies, make_policy: MakePolicy) -> None:
    policies.write(make_policy(why="first"), None)

    with pytest.raises(PolicyChanged):
        policies.write(make_policy(why="second"), None)


def test_of_many_writers_at_once_each_version_has_one(
    tmp_path: Path, make_policy: MakePolicy
) -> None:
    policies = Policies(FolderStore(tmp_path), "rollouts/small")
    policies.write(make_policy(), None)
    won: list[int] = []

    def write(writer: int) -> None:
        for _ in range(20):
            seen = policies.read()
            assert seen is not None
            following = make_policy(version=seen.policy.version + 1, changed_by=str(writer))
            try:
                policies.write(following, seen)
            except PolicyChanged:
                continue
            won.append(following.version)

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == list(range(2, len(won) + 2))
    assert [policy.version for policy in policies.history()] == list(range(1, len(won) + 2))


def test_a_version_out_of_order_is_refused(policies: Policies, make_policy: MakePolicy) -> None:
    with pytest.raises(ValueError, match="cannot follow"):
        policies.write(make_policy(version=2), None)


def test_the_history_keeps_every_version_also_after_a_writer_died(
    policies: Policies, store: Store, make_policy: MakePolicy
) -> None:
    seen = policies.write(make_policy(why="one"), None)
    # A writer that died between the copy to the history and the write.
    store.put(
        "rollouts/small/history/000001.json", make_policy(why="one").model_dump_json().encode()
    )
    policies.write(make_policy(version=2, why="two"), seen)

    assert [policy.why for policy in policies.history()] == ["one", "two"]


def test_a_reader_gets_only_what_it_has_not_read(
    policies: Policies, make_policy: MakePolicy
) -> None:
    with pytest.raises(KeyAbsentError):
        policies.read_newer(None)
    first = policies.write(make_policy(), None)

    assert policies.read_newer(None) == first
    assert policies.read_newer(first.etag) is None
    second = policies.write(make_policy(version=2), first)
    assert policies.read_newer(first.etag) == second


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "a share over 1": ({"share": 1.5}, "share"),
    "an unknown key": ({"shares": 0.5}, "shares: Extra inputs"),
    "traffic after the end": ({"phase": "rolled_back"}, "leaves no traffic"),
    "a header that is none": ({"sticky_header": "x\r\ny"}, "sticky_header"),
    "an experiment that is a path": ({"experiment": "../x"}, "experiment"),
    "steps that shrink": (
        {"strategy": {"kind": "canary", "steps": [{"share": 1.0}, {"share": 0.5}]}},
        "must grow",
    ),
    "steps that do not end at 1": (
        {"strategy": {"kind": "canary", "steps": [{"share": 0.5}]}},
        "share = 1",
    ),
    "an A/B test that ends before its power": (
        {"strategy": {"kind": "ab", "effect": 0.1, "planned": 500, "most": 400}},
        "at least planned",
    ),
    "a strategy that is none": ({"strategy": {"kind": "dice"}}, "strategy"),
    "copies in a canary": ({"shadow": True}, "copies no traffic"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_policy_with_a_fault_is_refused_with_its_name(
    fault: str, make_policy: MakePolicy
) -> None:
    changes, message = FAULTS[fault]
    raw = {**make_policy().model_dump(mode="json"), **changes}

    with pytest.raises(InputError, match=message):
        document.parse(raw, "test")


def test_a_canary_that_begins_with_all_traffic_is_refused() -> None:
    with pytest.raises(ValidationError, match="nothing to compare with"):
        RolloutSettings.model_validate({"canary": {"steps": [{"share": 1.0}]}})


@pytest.mark.parametrize("text", ["", "[]", "null", '{"version": 1', "\x00", "NaN"])
def test_what_is_no_policy_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="no traffic policy"):
        document.parse(text, "test")


@pytest.mark.parametrize("share", [0.01, 0.05, 0.25, 0.5])
def test_the_split_is_within_binomial_bounds(share: float, make_policy: MakePolicy) -> None:
    policy = make_policy(share=share)
    count = 40_000
    found = Counter(assign(policy, f"user-{number}") for number in range(count))

    # Four standard deviations: one run in 16,000 would be outside by chance, and this one is fixed.
    assert abs(found["challenger"] - count * share) < 4 * (count * share * (1 - share)) ** 0.5


def test_a_growing_share_takes_no_key_back(make_policy: MakePolicy) -> None:
    keys = [f"user-{number}" for number in range(2000)]
    before: set[str] = set()
    for share in (0.01, 0.05, 0.25, 0.5, 1.0):
        now = {key for key in keys if assign(make_policy(share=share), key) == "challenger"}
        assert before <= now
        before = now
    assert before == set(keys)


def test_another_experiment_draws_anew(make_policy: MakePolicy) -> None:
    one, other = make_policy(share=0.5), make_policy(share=0.5, experiment="e2")
    same = sum(assign(one, str(key)) == assign(other, str(key)) for key in range(4000))

    assert 1800 < same < 2200
    assert unit(one, "user") != unit(other, "user")


@pytest.mark.slow
def test_another_process_assigns_alike(make_policy: MakePolicy) -> None:
    keys = [f"user-{number}" for number in range(50)]
    code = (
        "from pipeline.rollouts.assignment import place\n"
        f"print([place('e1', key) for key in {keys!r}])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert run.stdout.strip() == str([place("e1", key) for key in keys])


def test_a_rollout_that_ended_sends_everybody_to_the_champion(make_policy: MakePolicy) -> None:
    ended = make_policy(phase="aborted", share=0.0)

    assert {assign(ended, str(key)) for key in range(100)} == {"champion"}
