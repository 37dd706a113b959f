"""Each strategy ends as it should, whatever the challenger is like."""

import re
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, Self

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from pipeline.errors import may_pass
from pipeline.rollouts import guards, view
from pipeline.rollouts.control import controller as control
from pipeline.rollouts.control.controller import Controller, Look, NotNow, by_hand
from pipeline.rollouts.control.lease import Lease
from pipeline.rollouts.evidence import Evidence, Verdict
from pipeline.rollouts.policies import Policies, PolicyChanged
from pipeline.rollouts.policy import Set, Tally, TrafficPolicy
from pipeline.rollouts.stats.sequential import Sums
from pipeline.rollouts.strategies import Hold, decide
from pipeline.storage import FolderStore

from .conftest import START, MakePolicy
from .world import Behaviour, World

pytestmark = pytest.mark.slow

GOOD = Behaviour()
BAD = {
    "failing": Behaviour(errors=0.2),
    "slow": Behaviour(slow=0.5),
    "worse by its outcomes": Behaviour(wrong=0.3),
    "worse by its scores": Behaviour(score=0.6),
}
AB = {"kind": "ab", "effect": 0.04, "planned": 4000, "most": 12000}


class Front:
    """A load balancer that remembers whom it sends traffic to."""

    def __init__(self) -> None:
        self.active: list[Set] = ["blue"]

    def agree(self, policy: TrafficPolicy) -> None:
        if self.active[-1] != policy.active_set:
            self.active.append(policy.active_set)


def play(
    folder: Path, policy: TrafficPolicy, world: World, front: Front | None = None
) -> tuple[list[TrafficPolicy], Look]:
    """Run the controller to the end; the answer is the policy's history and the last look."""
    store = FolderStore(folder)
    policies = Policies(store, "rollouts/small")
    policies.write(policy, policies.read())
    controller = _controller(store, world, front)
    looks = 0

    def tell(_: Look) -> None:
        nonlocal looks
        looks += 1
        assert looks < 2000, "the rollout does not end"

    last = controller.run(0, tell, lambda _: None)
    return policies.history(), last


def _controller(
    store: FolderStore, world: World, front: Front | None = None, name: str = "one", **lease: Any
) -> Controller:
    return Controller(
        Policies(store, "rollouts/small"),
        Lease(store, "rollouts/small/lease.json", name, **lease),
        world,
        who=name,
        front=front,
        clock=world.clock,
    )


def test_a_good_canary_reaches_all_traffic_step_by_step(
    tmp_path: Path, make_policy: MakePolicy
) -> None:
    world = World(GOOD)
    history, last = play(tmp_path, make_policy(), world)

    assert last.policy is not None
    assert last.policy.phase == "succeeded"
    shares = [policy.share for policy in history]
    assert [share for place, share in enumerate(shares) if share not in shares[:place]] == [
        0.05,
        0.5,
        1.0,
    ]
    # Three steps of 60 s each, and none left earlier.
    assert (world.now - history[0].progress.since).total_seconds() >= 180


@pytest.mark.parametrize("fault", BAD)
def test_a_bad_canary_is_rolled_back_before_it_has_half_of_the_traffic(
    fault: str, tmp_path: Path, make_policy: MakePolicy
) -> None:
    policy = make_policy(
        strategy={
            "kind": "canary",
            "steps": [
                {"share": share, "hold_seconds": 100, "min_requests": 500} for share in (0.1, 1.0)
            ],
        },
        share=0.1,
    )
    history, last = play(tmp_path, policy, World(BAD[fault]))

    assert last.ended
    assert history[-1].phase == "rolled_back"
    assert history[-1].share == 0
    assert "guard broken" in history[-1].why
    assert max(policy.share for policy in history) == 0.1


def test_good_canaries_are_not_rolled_back_by_chance(
    tmp_path: Path, make_policy: MakePolicy
) -> None:
    phases = []
    for seed in range(12):
        _, last = play(tmp_path / str(seed), make_policy(), World(GOOD, seed=seed))
        assert last.policy is not None
        phases.append(last.policy.phase)

    assert phases == ["succeeded"] * 12


def test_errors_are_noticed_though_the_champion_has_none(
    tmp_path: Path, make_policy: MakePolicy
) -> None:
    """https://github.com/spinnaker/spinnaker/issues/5622: no deviation from nothing is computed."""
    world = World(Behaviour(errors=0.05), Behaviour(errors=0))
    history, _ = play(tmp_path, make_policy(), world)

    assert history[-1].phase == "rolled_back"
    assert "errors" in history[-1].why


def test_a_canary_that_no_request_reaches_waits(tmp_path: Path, make_policy: MakePolicy) -> None:
    store, world = FolderStore(tmp_path), World(GOOD, rate=0)
    Policies(store, "rollouts/small").write(make_policy(), None)
    controller = _controller(store, world)
    looks = [controller.look() for _ in range(60)]

    assert not any(look.ended for look in looks)
    assert looks[-1].sentence == "0 of 50 requests at 5%"


def test_a_challenger_that_servers_refuse_is_rolled_back(
    tmp_path: Path, make_policy: MakePolicy
) -> None:
    history, _ = play(tmp_path, make_policy(), World(GOOD, refused=1))

    assert history[-1].phase == "rolled_back"
    assert "refused to load" in history[-1].why


def test_a_broken_guard_rolls_back_after_success_too(
    tmp_path: Path, make_policy: MakePolicy
) -> None:
    world = World(GOOD)
    play(tmp_path, make_policy(), world)
    world.challenger = BAD["failing"]
    controller = _controller(FolderStore(tmp_path), world)
    looks = [controller.look() for _ in range(20)]

    assert looks[-1].policy is not None
    assert looks[-1].policy.phase == "rolled_back"


def test_a_rollout_that_succeeded_can_still_be_aborted(
    tmp_path: Path, make_policy: MakePolicy
) -> None:
    """https://github.com/argoproj/argo-rollouts/issues/4461: an abort after success was ignored."""
    world = World(GOOD)
    play(tmp_path, make_policy(), world)
    policies = Policies(FolderStore(tmp_path), "rollouts/small")
    ended = by_hand(policies, world, "abort", "not today", "somebody", world.clock)

    assert (ended.phase, ended.share) == ("aborted", 0)
    assert _controller(FolderStore(tmp_path), world).look().ended


def test_promotion_completes_a_rollout(tmp_path: Path, make_policy: MakePolicy) -> None:
    world = World(GOOD)
    play(tmp_path, make_policy(), world)
    world.record = (2, "2")
    look = _controller(FolderStore(tmp_path), world).look()

    assert look.policy is not None
    assert (look.policy.phase, look.policy.share) == ("completed", 0)


def test_another_champion_in_between_aborts(tmp_path: Path, make_policy: MakePolicy) -> None:
    history, _ = play(tmp_path, make_policy(), World(GOOD, record=(2, "7")))

    assert history[-1].phase == "aborted"
    assert "became version 7" in history[-1].why


@pytest.mark.parametrize(
    ("wrong", "phase", "why"),
    [
        (0.06, "succeeded", "is better"),
        (0.14, "rolled_back", "is worse"),
        (0.10, "rolled_back", "undecided"),
    ],
)
def test_an_ab_test_decides(
    wrong: float, phase: str, why: str, tmp_path: Path, make_policy: MakePolicy
) -> None:
    policy = make_policy(strategy=AB, share=0.5, guards={"outcome_loss": 0.2})
    history, _ = play(tmp_path, policy, World(Behaviour(wrong=wrong)))

    assert history[-1].phase == phase
    assert why in history[-1].why


def test_an_ab_test_whose_log_loses_one_arm_is_aborted(
    tmp_path: Path, make_policy: MakePolicy
) -> None:
    class Losing(World):
        def gather(self, policy: TrafficPolicy) -> Evidence:
            found = super().gather(policy)
            units = {**found.units, "challenger": int(found.units["challenger"] * 0.8)}
            return Evidence(**{**vars(found), "units": units})

    policy = make_policy(strategy=AB, share=0.5)
    history, _ = play(tmp_path, policy, Losing(GOOD))

    assert history[-1].phase == "aborted"
    assert re.match(
        r"sample ratio: \d+ keys to the challenger and \d+ keys to the champion instead of 50%",
        history[-1].why,
    )


def test_outcomes_that_are_left_out_are_told(make_policy: MakePolicy) -> None:
    policy = make_policy(strategy={"kind": "champion_challenger"}, share=0.0, shadow=True)
    found = decide(policy, Evidence(odd=37, champion_sequence=1), START)

    assert isinstance(found, Hold)
    assert "0 of 500 paired outcomes came; 37 outcomes are left out" in found.why


@pytest.mark.parametrize(("passed", "phase"), [(True, "succeeded"), (False, "rolled_back")])
def test_a_champion_challenger_comparison_ends_by_the_promotion_rule(
    passed: bool, phase: str, tmp_path: Path, make_policy: MakePolicy
) -> None:
    class Judged(World):
        def gather(self, policy: TrafficPolicy) -> Evidence:
            found = super().gather(policy)
            rule = Verdict(passed, "the rule's sentence") if found.paired.count >= 500 else None
            return Evidence(**{**vars(found), "promotion": rule})

    policy = make_policy(
        strategy={"kind": "champion_challenger", "hold_seconds": 30}, share=0.0, shadow=True
    )
    history, _ = play(tmp_path, policy, Judged(GOOD))

    assert history[-1].phase == phase
    assert history[-1].why == "the rule's sentence"
    assert all(policy.share == 0 for policy in history)


def test_blue_green_switches_a_verified_set_once_and_keeps_it(
    tmp_path: Path, make_policy: MakePolicy
) -> None:
    front, world = Front(), World(GOOD, verified=Verdict(True, "200 replayed requests agree"))
    policy = make_policy(
        strategy={"kind": "blue_green", "target": "green", "bake_seconds": 60}, share=0.0
    )
    history, _ = play(tmp_path, policy, world, front)

    assert history[-1].phase == "succeeded"
    assert front.active == ["blue", "green"]
    shown = [line.split()[4] for line in view.history(history)]
    assert (shown[0], shown[-1]) == ("0%", "100%")


def test_blue_green_waits_for_answers_of_the_champion_to_compare_with(
    tmp_path: Path, make_policy: MakePolicy
) -> None:
    """After the switch it has none any more, and no guard could ever break."""
    store, world = FolderStore(tmp_path), World(GOOD, rate=1, verified=Verdict(True, "verified"))
    policy = make_policy(strategy={"kind": "blue_green", "target": "green"}, share=0.0)
    Policies(store, "rollouts/small").write(policy, None)
    controller = _controller(store, world)
    looks = [controller.look() for _ in range(20)]

    assert looks[0].sentence == "1 of 20 answers of the champion to compare with"
    assert [look.moved for look in looks] == [False] * 19 + [True]


def test_blue_green_never_switches_to_a_set_that_fails_its_check(
    tmp_path: Path, make_policy: MakePolicy
) -> None:
    front, world = Front(), World(GOOD, verified=Verdict(False, "3 of 200 answers failed"))
    policy = make_policy(strategy={"kind": "blue_green", "target": "green"}, share=0.0)
    history, _ = play(tmp_path, policy, world, front)

    assert history[-1].phase == "rolled_back"
    assert front.active == ["blue"]


@pytest.mark.parametrize("fault", BAD)
def test_blue_green_switches_back_when_a_guard_breaks(
    fault: str, tmp_path: Path, make_policy: MakePolicy
) -> None:
    class Before(World):
        def gather(self, policy: TrafficPolicy) -> Evidence:
            # The idle set is verified after ten seconds of the champion's own traffic.
            passed = (self.now - policy.progress.since).total_seconds() > 10
            self.verified = Verdict(True, "verified") if passed else None
            return super().gather(policy)

    front = Front()
    policy = make_policy(
        strategy={"kind": "blue_green", "target": "green", "bake_seconds": 300}, share=0.0
    )
    history, _ = play(tmp_path, policy, Before(BAD[fault]), front)

    assert history[-1].phase == "rolled_back"
    assert front.active == ["blue", "green", "blue"]


def test_a_killed_controller_is_followed_by_another(
    tmp_path: Path, make_policy: MakePolicy
) -> None:
    store, world = FolderStore(tmp_path), World(GOOD)
    policies, ticking = Policies(store, "rollouts/small"), [0.0]
    policies.write(make_policy(), None)
    killed = _controller(store, world, name="killed", clock=lambda: ticking[0])
    for _ in range(14):
        killed.look()
    follower = _controller(store, world, name="follower", clock=lambda: ticking[0])

    assert follower.look().sentence.startswith("another controller has the lease: killed;")
    ticking[0] += 61
    last = follower.run(0, lambda _: None, lambda _: None)

    assert last.policy is not None
    assert last.policy.phase == "succeeded"
    assert [policy.share for policy in policies.history()] == [0.05, 0.05, 0.5, 0.5, 1.0, 1.0]
    assert {policy.changed_by for policy in policies.history()[1:]} == {"killed", "follower"}


@pytest.mark.parametrize("lost", [True, False])
def test_a_lease_that_was_lost_or_spoilt_is_taken_above_the_policys_number(
    lost: bool, tmp_path: Path, make_policy: MakePolicy
) -> None:
    """A lower number would wait for ever for the controller that the policy names."""
    store = FolderStore(tmp_path)
    policies = Policies(store, "rollouts/small")
    policies.write(make_policy(lease=7), None)
    if not lost:
        store.put("rollouts/small/lease.json", b"{")
    look = _controller(store, World(GOOD)).look()

    assert look.sentence.endswith("requests at 5%")
    found = policies.read()
    assert found is not None and found.policy.lease == 8


def test_a_controller_that_is_ended_by_hand_is_followed_at_once(
    tmp_path: Path, make_policy: MakePolicy
) -> None:
    store, world = FolderStore(tmp_path), World(GOOD)
    policies = Policies(store, "rollouts/small")
    policies.write(make_policy(), policies.read())

    def ctrl_c(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _controller(store, world, name="first").run(5, lambda _: None, ctrl_c)

    assert "another controller" not in _controller(store, world, name="second").look().sentence


def test_an_ab_test_without_outcomes_says_so_in_words(
    tmp_path: Path, make_policy: MakePolicy
) -> None:
    del tmp_path
    strategy = {"kind": "ab", "effect": 0.2, "planned": 300, "most": 600}
    policy = make_policy(strategy=strategy, share=0.5)
    evidence = Evidence(champion_sequence=1, champion_version="1")
    found = decide(policy, evidence, policy.started_at)

    assert isinstance(found, Hold)
    assert found.why == (
        "undecided: too few outcomes of a variant, on 0 keys of both, planned 300, at most 600"
    )


def test_a_controller_that_stood_still_does_nothing_after_another_took_over(
    tmp_path: Path, make_policy: MakePolicy
) -> None:
    store, world, ticking = FolderStore(tmp_path), World(GOOD), [0.0]
    policies = Policies(store, "rollouts/small")
    policies.write(make_policy(), None)

    class Stalled(World):
        """While this controller gathers, it stands still, and another takes over."""

        def gather(self, policy: TrafficPolicy) -> Evidence:
            found = super().gather(policy)
            if self.refused:
                other.look()
                ticking[0] += 61
                other.look()
            return found

    stalled_world = Stalled(GOOD)
    stalled = _controller(store, stalled_world, name="stalled", clock=lambda: ticking[0])
    other = _controller(store, world, name="other", clock=lambda: ticking[0])
    assert stalled.look().policy is not None
    other.look()
    stalled_world.refused = 1  # it would roll back now

    look = stalled.look()

    assert not look.moved
    found = policies.read()
    assert found is not None
    assert (found.policy.phase, found.policy.changed_by) == ("running", "other")
    assert stalled.look().sentence.startswith("another controller has the lease: other;")


def test_two_controllers_at_once_take_each_step_once(
    tmp_path: Path, make_policy: MakePolicy
) -> None:
    store, world = FolderStore(tmp_path), World(GOOD)
    policies = Policies(store, "rollouts/small")
    policies.write(make_policy(), None)
    both = [_controller(store, world, name=name) for name in ("one", "two")]
    for _ in range(60):
        for controller in both:
            controller.look()

    history = policies.history()
    assert [policy.share for policy in history if policy.why.endswith("guards held")] == [
        0.5,
        1.0,
        1.0,
    ]
    assert {policy.changed_by for policy in history[1:]} == {"one"}


def test_a_person_may_pause_resume_and_abort(tmp_path: Path, make_policy: MakePolicy) -> None:
    store, world = FolderStore(tmp_path), World(GOOD)
    policies = Policies(store, "rollouts/small")
    policies.write(make_policy(), None)
    controller = _controller(store, world)
    controller.look()
    by_hand(policies, world, "pause", "lunch", "somebody")
    for _ in range(30):
        assert not controller.look().moved
    resumed = by_hand(policies, world, "advance", "back", "somebody", world.clock)
    assert (resumed.phase, resumed.share) == ("running", 0.05)
    skipped = by_hand(policies, world, "advance", "hurry", "somebody", world.clock)
    assert skipped.share == 0.5
    ended = by_hand(policies, world, "abort", "no more", "somebody", world.clock)

    assert (ended.phase, ended.share, ended.why, ended.changed_by) == (
        *("aborted", 0),
        *("no more", "somebody"),
    )
    assert controller.look().ended
    with pytest.raises(NotNow, match="is aborted: there is nothing to pause"):
        by_hand(policies, world, "pause", "again", "somebody")


def test_a_paused_rollout_is_still_guarded(tmp_path: Path, make_policy: MakePolicy) -> None:
    store, world = FolderStore(tmp_path), World(BAD["failing"])
    policies = Policies(store, "rollouts/small")
    policies.write(make_policy(phase="paused", share=0.5), None)
    controller = _controller(store, world)
    looks = [controller.look() for _ in range(100)]

    assert looks[-1].ended
    found = policies.read()
    assert found is not None
    assert found.policy.phase == "rolled_back"


def test_a_writer_that_is_outrun_looks_again(
    tmp_path: Path, make_policy: MakePolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, world = FolderStore(tmp_path), World(GOOD)
    policies = Policies(store, "rollouts/small")
    policies.write(make_policy(), None)
    real, calls = Policies.write, [0]

    def outrun(self: Policies, *arguments: Any) -> Any:
        calls[0] += 1
        if calls[0] == 1:
            raise PolicyChanged("outrun")
        return real(self, *arguments)

    monkeypatch.setattr(Policies, "write", outrun)
    assert by_hand(policies, world, "abort", "stop", "somebody").phase == "aborted"


def test_counts_of_a_step_leave_out_what_came_before(make_policy: MakePolicy) -> None:
    before = {"challenger": Tally(requests=100, errors=90)}
    policy = make_policy(progress={"since": "2026-11-28T12:00:00Z", "step": 1, "before": before})
    evidence = Evidence(
        tallies={
            "challenger": Tally(requests=300, errors=90),
            "champion": Tally(requests=1000, errors=1),
        }
    )

    challenger, champion = evidence.of_step(policy)
    assert (challenger.requests, challenger.errors) == (200, 0)
    assert champion.requests == 1000


def test_a_score_without_spread_that_moves_is_noticed(
    tmp_path: Path, make_policy: MakePolicy
) -> None:
    from pipeline.rollouts.guards import check

    constant = Sums.of([0.5] * 100)
    evidence = Evidence(
        tallies={
            name: Tally(
                requests=100,
                rows=100,
                score_total=constant.total + (10 if name == "challenger" else 0),
                score_squares=constant.squares + (11 if name == "challenger" else 0),
            )
            for name in ("challenger", "champion")
        }
    )
    assert [found.name for found in check(make_policy(), evidence) if found.broken] == [
        "score shift"
    ]


class Unreachable(World):
    """AWS fails at some looks."""

    def __init__(self, error: Exception, looks: int) -> None:
        super().__init__(GOOD)
        self.error, self.looks = error, looks

    def gather(self, policy: TrafficPolicy) -> Evidence:
        self.looks -= 1
        if self.looks >= 0:
            raise self.error
        return super().gather(policy)


NOT_REACHED = EndpointConnectionError(endpoint_url="https://s3.us-east-1.amazonaws.com")
DENIED = ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetObject")


def test_a_controller_outlives_an_outage_of_aws_and_says_so(
    tmp_path: Path, make_policy: MakePolicy
) -> None:
    store, said = FolderStore(tmp_path), list[str]()
    Policies(store, "rollouts/small").write(make_policy(), None)
    controller = _controller(store, Unreachable(NOT_REACHED, 3))
    last = controller.run(0, lambda look: said.append(look.sentence), lambda _: None)

    assert last.policy is not None and last.policy.phase == "succeeded"
    assert (
        sum(each.startswith("nothing changes until AWS answers: Could not") for each in said) == 3
    )


@pytest.mark.parametrize(("error", "longest"), [(NOT_REACHED, -1.0), (DENIED, 600.0)])
def test_what_does_not_pass_ends_the_controller(
    error: Exception,
    longest: float,
    tmp_path: Path,
    make_policy: MakePolicy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(control, "LONGEST_OUTAGE_SECONDS", longest)
    store = FolderStore(tmp_path)
    Policies(store, "rollouts/small").write(make_policy(), None)
    with pytest.raises(type(error)):
        _controller(store, Unreachable(error, 1)).run(0, lambda _: None, lambda _: None)


@pytest.mark.parametrize(
    ("code", "status", "passes"),
    [
        ("SlowDown", 503, True),
        ("Throttling", 400, True),
        ("InternalError", 500, True),
        ("AccessDenied", 403, False),
        ("ExpiredToken", 400, False),
    ],
)
def test_a_busy_aws_passes_and_a_denial_does_not(code: str, status: int, passes: bool) -> None:
    answer: Any = {
        "Error": {"Code": code, "Message": "no"},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    assert may_pass(ClientError(answer, "GetObject")) == passes


def test_a_clock_that_is_set_ends_no_step_before_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = control.steady_clock()
    before = clock()

    class Later(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return super().now(tz) + timedelta(hours=1)

    monkeypatch.setattr(control, "datetime", Later)
    assert timedelta() <= clock() - before < timedelta(minutes=1)


def test_a_guard_without_numbers_says_so_in_words(make_policy: MakePolicy) -> None:
    sentences = [check.sentence for check in guards.check(make_policy(), Evidence())]
    assert sentences[1:] == [
        "errors: 0 and 0 answers are too few to tell, 20 are needed",
        "answers over 250 ms: 0 and 0 answers are too few to tell, 20 are needed",
        "score shift: 0 and 0 rows are too few to tell, 20 are needed",
        "outcome loss: 0 and 0 outcomes are too few to tell, 20 are needed",
    ]
    shadow = make_policy(strategy={"kind": "champion_challenger"}, share=0.0, shadow=True)
    (*_, outcome) = guards.check(shadow, Evidence(paired=Sums.of([0.0] * 19)))
    assert outcome.sentence == "outcome loss: 19 outcomes are too few to tell, 20 are needed"
