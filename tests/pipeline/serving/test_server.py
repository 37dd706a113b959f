"""A real server under load: nothing is lost when models change, fail or die."""

import json
import signal
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.model.champion import FileRecords
from pipeline.rollouts.assignment import assign
from pipeline.rollouts.policies import Policies
from pipeline.rollouts.policy import TrafficPolicy
from pipeline.storage import FolderStore
from tests.pipeline.serving import models
from tests.pipeline.serving.running import Load, Running, running, wait_until

pytestmark = pytest.mark.slow
ONE = json.dumps({"instances": models.rows()}).encode()
CANARY = {"kind": "canary", "steps": [{"share": 0.3}, {"share": 1.0}]}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One server for the tests of this file, as starting one takes seconds."""
    folder = tmp_path_factory.mktemp("store")
    models.promote(folder, "1", models.fitted())
    with running(folder) as server:
        yield server


@pytest.fixture
def own(shared: Running) -> Running:
    """The server with a good champion and no rollout, whatever the last test left."""
    policies = Policies(FolderStore(shared.folder), f"rollouts/{models.NAME}")
    seen = policies.read()
    if seen is not None and seen.policy.live:
        taken_up(shared, put_policy(shared.folder, phase="aborted", share=0.0, shadow=False))
    version = models.promote_next(shared.folder, models.fitted())
    wait_until(lambda: shared.models() == {"champion": version}, "a good champion alone answers")
    return shared


def put_policy(
    folder: Path, model: Any = None, strategy: Any = None, **changes: Any
) -> TrafficPolicy:
    """Put a policy in force; with a model it begins another experiment with this challenger."""
    policies = Policies(FolderStore(folder), f"rollouts/{models.NAME}")
    seen = policies.read()
    now = datetime.now(UTC)
    record = FileRecords(folder / "champion" / models.NAME).read()[0]
    number = seen.policy.version + 1 if seen else 1
    if model is None and seen:
        number = int(seen.policy.experiment[1:])
    raw = {
        "model": models.NAME,
        "version": seen.policy.version + 1 if seen else 1,
        "experiment": f"e{number}",
        "phase": "running",
        "strategy": strategy or CANARY,
        "challenger": seen.policy.challenger
        if model is None and seen
        else {
            "model_version": "99",
            "run_id": "run-99",
            "files": models.store_files(folder, model),
        },
        "champion_sequence": record.sequence if record else 1,
        "champion_version": "1",
        "loss": "error",
        "started_at": now,
        "progress": {"since": now},
        "changed_at": now,
        "changed_by": "test",
        "why": "test",
    }
    return policies.write(TrafficPolicy.model_validate({**raw, **changes}), seen).policy


def taken_up(server: Running, policy: TrafficPolicy) -> None:
    wait_until(
        lambda: server.get("/ready").json()["policy_version"] == policy.version,
        "the policy is taken up",
    )


def loaded(server: Running, policy: TrafficPolicy) -> None:
    """Wait until a server splits its traffic by a policy, with both models loaded."""
    taken_up(server, policy)
    wait_until(
        lambda: server.models().get("challenger") == policy.challenger.model_version,
        "the challenger is loaded",
    )


def tallies(folder: Path, policy: TrafficPolicy) -> dict[str, Any]:
    """What the servers counted of the experiment."""
    from pipeline.rollouts.observed.counters import FolderCounters, total

    counters = FolderCounters(FolderStore(folder), f"counters/{models.NAME}")
    found = total(counters, policy.experiment, policy.started_at)
    return {str(name): tally for name, tally in found.items()}


def test_answers_are_those_of_the_model(shared: Running) -> None:
    table = models.features()
    found = shared.post("/invocations", models.split(table))
    assert found.json()["predictions"] == models.labels(models.fitted())
    assert found.headers["X-Prediction-Id"] == found.json()["prediction_id"]
    texts = shared.post(
        "/invocations", table.to_csv(index=False).encode(), **{"Content-Type": "text/csv"}
    )
    assert texts.json()["predictions"] == found.json()["predictions"]
    one = shared.post("/predict", models.rows()[0]).json()
    assert one["prediction"] == found.json()["predictions"][0]
    assert sum(one["probabilities"].values()) == pytest.approx(1)


def test_mlflows_own_client_understands_the_answers(shared: Running) -> None:
    pytest.importorskip("mlflow")
    from mlflow.deployments import PredictionsResponse

    found: Any = PredictionsResponse.from_json(  # type: ignore[no-untyped-call]
        shared.post("/invocations", ONE).text
    )

    assert found.get_predictions().iloc[0, 0] == models.labels(models.fitted(), 1)[0]


@pytest.mark.parametrize(
    ("content", "headers", "status", "message"),
    [
        (b"x", {"Content-Type": "application/xml"}, 415, "send application/json or text/csv"),
        (b"x", {"Content-Type": ""}, 415, "missing"),
        (ONE, {"Content-Type": "application/json; charset=latin-1"}, 415, "parameters"),
        (ONE, {"Content-Type": "application/json; charset=UTF-8"}, 200, ""),
        (b" " * (8 << 20) + b"1", {}, 413, "larger than 8388608 bytes"),
        (b'{"instances": [[]]}', {}, 422, "0 values"),
    ],
)
def test_what_is_wrong_with_a_request_is_said(
    content: bytes, headers: dict[str, str], status: int, message: str, shared: Running
) -> None:
    found = shared.post("/invocations", content, **headers)

    assert found.status_code == status
    assert message in found.json().get("error", "")


def test_a_body_that_grows_over_the_limit_without_a_length_is_refused(shared: Running) -> None:
    import requests

    endless = (b" " * (1 << 20) for _ in range(20))
    found = requests.post(
        f"{shared.url}/invocations",
        data=endless,
        headers={"Content-Type": "application/json"},
        timeout=60,
    )

    assert found.status_code == 413


def test_unknown_routes_and_methods_get_an_error_of_the_same_shape(shared: Running) -> None:
    assert shared.get("/nowhere").status_code == 404
    assert shared.get("/nowhere").json()["error"] == "Not Found"
    assert shared.get("/invocations").status_code == 405
    assert shared.get("/invocations").headers["Allow"] == "POST"


def test_the_description_shows_the_models_columns(shared: Running) -> None:
    schema = shared.get("/openapi.json").json()
    row = schema["components"]["schemas"]["Row"]

    assert list(row["properties"]) == list(models.features())
    assert row["properties"]["mean radius"]["type"] == ["number", "null"]
    assert row["properties"]["size"]["examples"] == ["large", "small"]


def test_metrics_count_requests_and_rows(shared: Running) -> None:
    before = shared.metric("keyless_predicted_rows_total", variant="champion")
    shared.post("/invocations", {"instances": models.rows(7)})

    assert shared.metric("keyless_predicted_rows_total", variant="champion") - before == 7
    assert shared.metric("keyless_requests_total", status="200", route="/invocations") > 0
    assert shared.metric("keyless_model_version", version=shared.models()["champion"]) == 1


def test_a_new_champion_is_taken_up_under_load_without_a_lost_request(own: Running) -> None:
    first = own.models()["champion"]
    with Load(own.url, ONE) as load:
        load.wait(50)
        second = models.promote_next(own.folder, models.fitted("histogram_gradient_boosting"))
        wait_until(lambda: own.models() == {"champion": second}, "the new champion answers")
        load.wait(50)
        third = models.promote_next(own.folder, models.fitted())
        wait_until(lambda: own.models() == {"champion": third}, "the third champion answers")
        load.wait(50)

    load.check()
    assert {version for _, version, _ in load.answers} == {first, second, third}
    wait_until(lambda: len(own.workers()) == 1, "the last models have ended")


def test_a_bad_champion_is_refused_and_the_last_good_one_goes_on(own: Running) -> None:
    def refused() -> float:
        return own.metric("keyless_refused_models_total", kind="champion")

    good, before = own.models(), refused()
    models.promote_next(own.folder, b"no model at all")
    wait_until(lambda: refused() == before + 1, "what is no model is refused")
    other = models.store_files(own.folder, models.fitted("random_forest"))
    with FolderStore(own.folder)._path(other["model.skops"].key).open("ab") as file:
        file.write(b"altered")
    models.promote_next(own.folder, models.fitted(), files=other)
    wait_until(lambda: refused() == before + 2, "what was altered is refused")

    assert own.models() == good
    assert own.post("/invocations", ONE).json()["model_version"] == good["champion"]
    version = models.promote_next(own.folder, models.fitted())
    wait_until(lambda: own.models() == {"champion": version}, "a good one is taken up again")


def test_a_killed_model_comes_back_and_no_request_is_lost(own: Running) -> None:
    with Load(own.url, ONE) as load:
        for _ in range(3):
            load.wait(30)
            (worker,) = own.workers()
            worker.kill()
            worker.wait(60)
        load.wait(30)

    load.check()


def test_a_request_that_kills_the_model_is_refused_and_the_others_are_answered(
    own: Running,
) -> None:
    version = models.promote_next(own.folder, models.odd("crash"))
    wait_until(lambda: own.models() == {"champion": version}, "the champion is loaded")
    with Load(own.url, ONE) as load:
        load.wait(20)
        found = own.post("/invocations", {"instances": [models.marked()]})
        load.wait(20)

    load.check()
    assert found.status_code == 503
    assert "no model can answer" in found.json()["error"]


def test_a_policy_splits_traffic_by_key_as_everybody_computes_it(own: Running) -> None:
    policy = put_policy(
        own.folder, models.fitted(flipped=True), share=0.3, sticky_header="X-User-Id"
    )
    loaded(own, policy)
    keys = [f"user-{number}" for number in range(300)]
    found = {
        key: own.post("/invocations", ONE, **{"X-User-Id": key}).headers["X-Variant"]
        for key in keys
    }

    assert found == {key: assign(policy, key) for key in keys}
    # Four standard deviations of a binomial count.
    assert abs(Counter(found.values())["challenger"] - 90) < 4 * (300 * 0.3 * 0.7) ** 0.5
    wait_until(
        lambda: sum(tally.requests for tally in tallies(own.folder, policy).values()) == 300,
        "all are counted",
    )
    # Another server sends each key where this one does.
    with running(own.folder) as second:
        loaded(second, policy)
        again = {
            key: second.post("/invocations", ONE, **{"X-User-Id": key}).headers["X-Variant"]
            for key in keys[:60]
        }
    assert again == {key: found[key] for key in again}


def test_a_rolled_back_challenger_gets_no_request_within_seconds(own: Running) -> None:
    loaded(own, put_policy(own.folder, models.fitted(flipped=True), share=1.0))
    with Load(own.url, ONE) as load:
        load.wait(40)
        taken_up(own, put_policy(own.folder, phase="rolled_back"))
        before = len(load.answers)
        load.wait(60)

    load.check()
    # Each thread may have had one request under way, whose answer may come after others'.
    later = [variant for _, _, variant in load.answers[before:]]
    assert later.count("challenger") <= load.threads
    assert later.count("champion") >= 60 - load.threads
    wait_until(lambda: "challenger" not in own.models(), "the challenger is gone")


def test_no_controller_is_needed_for_a_rollback_to_take_a_promoted_challenger_away(
    own: Running,
) -> None:
    """The controller ends when a rollout has succeeded; what docs/rollouts.md says of a change of
    the champion holds at the servers."""
    policy = put_policy(own.folder, models.fitted(flipped=True), share=1.0, phase="succeeded")
    loaded(own, policy)
    assert own.post("/invocations", ONE).headers["X-Variant"] == "challenger"

    promoted = models.promote_next(own.folder, models.fitted(flipped=True))
    wait_until(lambda: own.models() == {"champion": promoted}, "the promoted one alone answers")
    restored = models.promote_next(own.folder, models.fitted())
    wait_until(lambda: own.models() == {"champion": restored}, "the restored one alone answers")
    assert own.post("/invocations", ONE).headers["X-Variant"] == "champion"
    # Nor does a server that starts then begin it again, whichever it reads first.
    with running(own.folder) as second:
        taken_up(second, policy)
        wait_until(lambda: second.models() == {"champion": restored}, "it answers")
        assert second.post("/invocations", ONE).headers["X-Variant"] == "champion"
    # A policy that began with a champion that the server has not seen yet goes on.
    later = put_policy(own.folder, models.fitted(), share=1.0, champion_sequence=10**6)
    loaded(own, later)


@pytest.mark.parametrize("mode", ["fail", "crash", "hang"])
def test_the_champion_answers_for_a_challenger_that_fails(mode: str, own: Running) -> None:
    policy = put_policy(own.folder, models.odd(mode), share=1.0, guards={"slow_ms": 100})
    loaded(own, policy)
    fine = own.post("/invocations", ONE)
    failed = own.post("/invocations", {"instances": [models.marked()]})

    assert (fine.status_code, fine.headers["X-Variant"]) == (200, "challenger")
    assert (failed.status_code, failed.headers["X-Variant"]) == (200, "champion")
    wait_until(
        lambda: tallies(own.folder, policy)["challenger"].errors == 1, "the error is counted"
    )


def test_a_challenger_that_is_refused_is_counted_and_changes_nothing(own: Running) -> None:
    policy = put_policy(own.folder, b"no model", share=1.0)
    wait_until(lambda: tallies(own.folder, policy)["challenger"].refused == 1, "it is counted")

    assert own.post("/invocations", ONE).headers["X-Variant"] == "champion"


def test_a_policy_that_is_none_changes_nothing(own: Running) -> None:
    policy = put_policy(own.folder, models.fitted(flipped=True), share=0.5)
    taken_up(own, policy)
    store, key = FolderStore(own.folder), f"rollouts/{models.NAME}/policy.json"
    before = own.metric("keyless_refused_models_total", kind="policy")
    good = store.read(key)[0]
    store.put(key, b'{"share": 2}')
    wait_until(
        lambda: own.metric("keyless_refused_models_total", kind="policy") > before, "refused"
    )
    store.put(key, good)

    assert own.get("/ready").json()["policy_version"] == policy.version
    assert own.post("/invocations", ONE).status_code == 200


@pytest.mark.alone  # a model in the background gets only processor time that nobody else wants
@pytest.mark.parametrize("mode", ["fail", "crash", "hang", "slow"])
def test_a_shadow_never_reaches_an_answer(mode: str, own: Running) -> None:
    odd = models.odd(mode, always=True)
    loaded(own, put_policy(own.folder, odd, {"kind": "champion_challenger"}, shadow=True))
    before = own.metric("keyless_copies_total")
    with Load(own.url, json.dumps({"instances": models.rows(3)}).encode()) as load:
        # Where it hangs, the queue is full and copies are dropped long before it is killed.
        load.wait(500 if mode == "hang" else 150)

    load.check()
    assert {variant for _, _, variant in load.answers} == {"champion"}
    wait_until(lambda: own.metric("keyless_copies_total") > before, "copies are counted")


@pytest.mark.alone  # the copies' model is one in the background
def test_predictions_and_copies_are_stored_with_their_ids(own: Running) -> None:
    import pandas as pd

    policy = put_policy(
        own.folder, models.fitted(flipped=True), {"kind": "champion_challenger"}, shadow=True
    )
    loaded(own, policy)
    ids = [own.post("/invocations", {"instances": models.rows(3)}).json()["prediction_id"]]
    ids += [own.post("/predict", models.rows()[0]).json()["prediction_id"] for _ in range(5)]
    store = FolderStore(own.folder)

    def logged(area: str) -> pd.DataFrame:
        keys = store.keys(f"predictions/{models.NAME}/{area}")
        empty = pd.DataFrame({"keyless_experiment": []})
        found = pd.concat([empty, *(pd.read_parquet(store._path(key)) for key in keys)])
        return found[found["keyless_experiment"] == policy.experiment]

    wait_until(lambda: len(logged("date=")) == 8, "the answers are stored")
    wait_until(lambda: len(logged("_shadow/date=")) == 8, "the copies are stored")
    champion, shadow = logged("date="), logged("_shadow/date=")
    assert set(champion["keyless_prediction_id"]) == set(ids)
    both = champion.merge(shadow, on=["keyless_prediction_id", "keyless_row"])
    assert (both["prediction_x"] != both["prediction_y"]).all()
    manifests = [
        json.loads(store.read(key)[0])
        for key in store.keys(f"predictions/{models.NAME}/_manifests/")
    ]
    listed = {manifest["predictions"]: manifest["predicted"] for manifest in manifests}
    written = store.keys(f"predictions/{models.NAME}/date=")
    assert listed == {key: len(pd.read_parquet(store._path(key))) for key in written}


def test_a_killed_server_loses_no_feedback_and_the_next_one_stores_its_predictions(
    tmp_path: Path,
) -> None:
    import pandas as pd

    models.promote(tmp_path, "1", models.fitted())
    sent = {f"20261128-{number:032x}" for number in range(30)}
    with running(tmp_path, state=tmp_path / "state") as first:
        ids = {first.post("/predict", models.rows()[0]).json()["prediction_id"] for _ in range(10)}
        for each in sent:
            found = first.post("/feedback", {"prediction_id": each, "outcome": "benign"})
            assert found.status_code == 202
        workers = first.workers()
        first.stop(signal.SIGKILL)
    store = FolderStore(tmp_path)
    stored = {
        outcome["prediction_id"]
        for key in store.keys(f"predictions/{models.NAME}/_feedback/")
        for outcome in json.loads(store.read(key)[0])
    }
    assert stored == sent
    wait_until(lambda: not any(worker.is_running() for worker in workers), "they ended with it")
    with running(tmp_path, state=tmp_path / "state"):
        pass
    logged: set[str] = set()
    for key in store.keys(f"predictions/{models.NAME}/date="):
        logged |= set(pd.read_parquet(store._path(key))["keyless_prediction_id"])
    assert logged >= ids
