"""The runner against GitHub's documented behaviour: calls, dispatches, and what it refuses."""

import pytest

from tests.actions_runner.definitions import DefinitionError
from tests.actions_runner.github import RunRefused, dispatch, push
from tests.actions_runner.job import Machine
from tests.actions_runner.origin import Origin
from tests.actions_runner.process import CommandError, parse_pairs
from tests.actions_runner.runner import Runner
from tests.actions_runner.tests.conftest import Runs, job, workflow
from tests.actions_runner.values import ExpressionError

pytestmark = pytest.mark.slow

CALLED = workflow(
    """
    inner:
      runs-on: u
      outputs: {text: "${{ steps.s.outputs.text }}"}
      steps:
        - {id: s, run: 'echo "text=${{ inputs.who }}-${{ inputs.on }}" >> "$GITHUB_OUTPUT"'}
    """,
    on="""
  workflow_call:
    inputs: {who: {type: string, required: true}, on: {type: boolean, default: true}}
    outputs: {text: {value: "${{ jobs.inner.outputs.text }}"}}
""",
)


def test_a_called_workflow_gets_inputs_and_returns_outputs(run: Runs) -> None:
    caller = workflow("""
        call: {uses: $/.github/workflows/w1.yml, with: {who: "${{ github.ref_name }}"}}
        after:
          needs: call
          runs-on: u
          steps: [{run: 'echo "${{ needs.call.outputs.text }}"'}]
    """)
    done = run(caller, CALLED)
    assert done["after"].log == "main-true"
    assert done["call / inner"].result == "success"


@pytest.mark.parametrize(
    ("given", "message"),
    [("{}", "needs the input who"), ("{who: a, on: 'yes'}", "must be true"),
     ("{who: a, x: b}", "has no input x")],
)  # fmt: skip
def test_a_called_workflow_refuses_wrong_inputs(run: Runs, given: str, message: str) -> None:
    with pytest.raises(RunRefused, match=message):
        run(workflow(f"call: {{uses: $/.github/workflows/w1.yml, with: {given}}}"), CALLED)


def test_a_called_workflow_may_not_ask_for_more_than_its_caller_has(run: Runs) -> None:
    asking = workflow(
        "a: {runs-on: u, permissions: {id-token: write}, steps: [{run: x}]}", on="workflow_call"
    )
    with pytest.raises(RunRefused, match="asks for id-token: write"):
        run(workflow("c: {uses: $/.github/workflows/w1.yml}", top="permissions: {}"), asking)


def test_a_dispatch_input_must_be_one_of_its_choices(runner: Runner, origin: Origin) -> None:
    text = workflow(
        "a: {runs-on: u, steps: [{run: 'echo ${{ inputs.to }}'}]}",
        on="\n  workflow_dispatch: {inputs: {to: {type: choice, options: [dev, prod]}}}",
    )
    commit = origin.commit({".github/workflows/w.yml": text})
    assert runner.run("w.yml", dispatch(commit, to="prod"))["a"].log == "prod"
    with pytest.raises(RunRefused, match="cannot be"):
        runner.run("w.yml", dispatch(commit, to="; rm -rf /"))
    with pytest.raises(RunRefused, match="does not start"):
        runner.run("w.yml", push(commit))


def test_concurrency_groups_are_recorded(run: Runs) -> None:
    done = run(
        workflow(
            "a: {runs-on: u, steps: [{run: 'true'}], concurrency: 'j-${{ github.ref_name }}'}",
            top="concurrency: {group: 'w-${{ github.sha != null }}', cancel-in-progress: true}",
        )
    )
    assert done.concurrency == [("w-true", True), ("j-main", False)]


def test_deliver_starts_the_workflows_whose_filters_match(runner: Runner, origin: Origin) -> None:
    body = "a: {runs-on: u, steps: [{run: 'true'}]}"
    rule = "\n  push: {{branches: [{}], paths: [{}]}}"
    commit = origin.commit(
        {
            ".github/workflows/a.yml": workflow(body, on=rule.format("main", '"terraform/**"')),
            ".github/workflows/b.yml": workflow(body, on=rule.format("main", '"pipeline/*"')),
            ".github/workflows/c.yml": workflow(body, on=rule.format("side", '"**"')),
            ".github/workflows/d.yml": workflow(body, on="schedule"),
        }
    )
    started = runner.deliver(push(commit), ["terraform/modules/a/main.tf", "pipeline/a/b.py"])
    assert [found.workflow.file for found in started] == ["a.yml"]


@pytest.mark.parametrize(
    "text",
    [
        job("- {uses: someone/else@v1}"),
        job("- {uses: actions/checkout@v7, with: {persist-credentials: false, lfs: true}}"),
        job("- {run: x, shell: pwsh}"),
        job("- {run: x}", head="container: ubuntu"),
        job("- {run: x, background: true}"),
        job("- {run: x}", head="strategy: {matrix: {include: [{a: 1}]}}"),
        workflow("a: {uses: other/repo/.github/workflows/x.yml@v1}"),
        workflow("a: {runs-on: u, steps: [{run: x}]}", on="pull_request_target"),
        workflow("a: {runs-on: u, needs: b, steps: [{run: x}]}"),
        workflow("a: {runs-on: u, steps: [{run: x}]}", top="permissions: write-all"),
        "on: push\njobs: {a: {runs-on: u, needs: b, steps: [{run: x}]},"
        " b: {runs-on: u, needs: a, steps: [{run: x}]}}",
    ],
)
def test_what_the_runner_does_not_know_fails_loudly(run: Runs, text: str) -> None:
    with pytest.raises(DefinitionError):
        run(text)


@pytest.mark.parametrize(
    "text",
    [
        job("- {run: x}", head="if: env.A == 'b'"),
        job("- {run: x}", head="environment: ${{ secrets.GITHUB_TOKEN }}"),
        workflow("a: {runs-on: u, steps: [{run: x}]}", top="concurrency: '${{ env.A }}'"),
        job("- {run: 'echo ${{ secret.X }}'}"),
    ],
)
def test_a_context_that_is_not_available_at_its_place_fails(run: Runs, text: str) -> None:
    with pytest.raises(ExpressionError, match="unrecognised"):
        run(text)


@pytest.mark.parametrize(
    "line",
    ["echo '::set-output name=a::b'", "echo '::set-env name=a::b'",
     'echo "GITHUB_SHA=x" >> "$GITHUB_ENV"', 'echo "no pair" >> "$GITHUB_OUTPUT"'],
)  # fmt: skip
def test_commands_that_github_refuses_fail_the_step(run: Runs, line: str) -> None:
    assert run(job(f"- run: |\n    {line}")).result == "failure"


def test_a_block_without_its_end_is_refused() -> None:
    with pytest.raises(CommandError, match="delimiter"):
        parse_pairs("a<<END\nvalue\n")


def test_the_machines_own_variables_reach_every_step(runner: Runner, origin: Origin) -> None:
    runner.machine = Machine(environment={"AWS_ENDPOINT_URL": "https://127.0.0.1:1"})
    commit = origin.commit({".github/workflows/w.yml": job("- run: echo $AWS_ENDPOINT_URL")})
    assert runner.run("w.yml", push(commit))["main"].log == "https://127.0.0.1:1"
