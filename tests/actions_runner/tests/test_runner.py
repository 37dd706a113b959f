"""The runner against GitHub's documented behaviour: steps, files, conditions, outputs, calls."""

import time

import pytest

from tests.actions_runner.github import push
from tests.actions_runner.origin import Origin
from tests.actions_runner.runner import Run, Runner
from tests.actions_runner.tests.conftest import Runs, job, workflow

CHECKOUT = """
- uses: actions/checkout@v7
  with: {persist-credentials: false}
"""
READS = "permissions: {contents: read}"

pytestmark = pytest.mark.slow


def test_a_step_sees_the_runners_variables_and_nothing_of_the_callers(
    run: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "leaked")
    done = run(job("- run: env"))
    log = done["main"].log
    assert "GITHUB_REPOSITORY=octo-org/keyless-mlops" in log
    assert "GITHUB_REF=refs/heads/main" in log
    assert "CI=true" in log
    assert "leaked" not in log
    assert "GITHUB_TOKEN" not in log


def test_outputs_travel_between_steps_and_jobs(run: Runs) -> None:
    done = run(
        workflow("""
            first:
              runs-on: ubuntu-24.04
              outputs: {answer: "${{ steps.think.outputs.answer }}"}
              steps:
                - id: think
                  run: |
                    echo "answer=42" >> "$GITHUB_OUTPUT"
                    { echo "long<<END"; echo a; echo b; echo END; } >> "$GITHUB_OUTPUT"
                - env: {LONG: "${{ steps.think.outputs.long }}"}
                  run: test "$LONG" = "$(printf 'a\\nb')"
            second:
              needs: first
              runs-on: ubuntu-24.04
              steps:
                - env: {ANSWER: "${{ needs.first.outputs.answer }}"}
                  run: test "$ANSWER" = 42
        """)
    )
    assert done.result == "success"
    assert done["first"].outputs == {"answer": "42"}


def test_variables_and_paths_reach_only_later_steps(run: Runs) -> None:
    done = run(
        job("""
            - run: |
                echo "COLOUR=blue" >> "$GITHUB_ENV"
                mkdir -p tools
                printf '#!/bin/sh\\necho tool %s' '"$COLOUR"' > tools/my-tool
                chmod +x tools/my-tool
                echo "$PWD/tools" >> "$GITHUB_PATH"
                test -z "$COLOUR"
            - run: my-tool
            - env: {COLOUR: red}
              run: my-tool
        """)
    )
    assert done.result == "success", done["main"].log
    assert [step.log for step in done["main"].steps[1:]] == [["tool blue"], ["tool red"]]


def test_environment_values_of_workflow_job_and_step_override_in_this_order(run: Runs) -> None:
    done = run(
        workflow(
            """
            main:
              runs-on: ubuntu-24.04
              env: {B: job, C: job}
              steps:
                - env: {C: step}
                  run: echo "$A $B $C"
            """,
            top="env: {A: top, B: top, C: top}",
        )
    )
    assert done["main"].log == "top job step"


def test_a_failed_step_skips_the_rest_but_what_asks_for_failure(run: Runs) -> None:
    done = run(
        job("""
            - run: exit 3
            - run: echo not reached
            - if: failure()
              run: echo failed
            - if: always() && steps.none.outcome == null
              run: echo always
            - if: cancelled()
              run: echo cancelled
        """)
    )
    assert done.result == "failure"
    conclusions = [step.conclusion for step in done["main"].steps]
    assert conclusions == ["failure", "skipped", "success", "success", "skipped"]


def test_continue_on_error_keeps_the_outcome_and_lets_the_job_pass(run: Runs) -> None:
    done = run(
        job("""
            - id: shaky
              continue-on-error: true
              run: exit 1
            - env: {ENDED: "${{ steps.shaky.outcome }} ${{ steps.shaky.conclusion }}"}
              run: test "$ENDED" = 'failure success'
        """)
    )
    assert done.result == "success"


@pytest.mark.parametrize(
    ("shell", "result"), [("", "success"), ("\n  shell: bash", "failure")], ids=["-e", "pipefail"]
)
def test_a_broken_pipe_fails_only_under_an_explicit_bash(
    run: Runs, shell: str, result: str
) -> None:
    assert run(job(f"- run: 'false | true'{shell}")).result == result


def test_jobs_follow_their_needs_and_a_failure_skips_descendants(run: Runs) -> None:
    one = "{runs-on: u, steps: [{run: exit %d}]%s}"
    done = run(
        workflow(f"""
            d: {one % (0, ", needs: [c]")}
            c: {one % (0, ", needs: [b], if: always()")}
            b: {one % (0, ", needs: [a]")}
            a: {one % (1, "")}
            e: {one % (0, ", needs: [a], if: failure()")}
            f: {one % (0, "")}
        """)
    )
    results = {key: result.result for key, result in done.jobs.items()}
    # d is skipped although c succeeded: success() asks for every ancestor.
    assert results == {
        "a": "failure", "f": "success", "b": "skipped", "e": "success", "c": "success",
        "d": "skipped",
    }  # fmt: skip
    assert done.result == "failure"


def test_a_matrix_runs_every_combination_and_fail_fast_cancels_the_rest(run: Runs) -> None:
    done = run(
        workflow("""
            main:
              runs-on: ubuntu-24.04
              strategy:
                fail-fast: true
                matrix: {os: [a, b], n: "${{ fromJSON('[1, 2]') }}"}
              steps:
                - run: test '${{ matrix.os }}${{ matrix.n }}' != b1
        """)
    )
    results = {key: result.result for key, result in done.jobs.items()}
    assert results == {
        "main (a, 1)": "success",
        "main (a, 2)": "success",
        "main (b, 1)": "failure",
        "main (b, 2)": "cancelled",
    }


def test_summaries_annotations_and_masks_are_kept(run: Runs) -> None:
    done = run(
        job("""
            - run: |
                echo "# Done" >> "$GITHUB_STEP_SUMMARY"
                echo "::add-mask::hunter2"
                echo "::notice title=Note::all well"
            - run: echo "the password is hunter2"
        """)
    )
    assert done.summary == "# Done\n"
    assert done["main"].annotations == [("notice", "all well")]
    assert "hunter2" not in done["main"].steps[1].log[0]


def test_a_step_that_takes_too_long_is_stopped_and_fails(run: Runs) -> None:
    started = time.monotonic()
    done = run(job("- {run: sleep 60, timeout-minutes: 0.005}\n- {if: always(), run: echo end}"))
    assert time.monotonic() - started < 20
    assert [step.conclusion for step in done["main"].steps] == ["failure", "success"]


def test_a_cancelled_run_interrupts_its_step_and_starts_no_further_job(
    runner: Runner, origin: Origin
) -> None:
    text = workflow("""
        a:
          runs-on: u
          steps:
            - run: |
                trap 'echo interrupted; exit 0' INT
                echo ready > "$RUNNER_TEMP/ready"
                while true; do sleep 0.05; done
            - {if: always(), run: echo cleanup}
        b: {needs: a, runs-on: u, steps: [{run: echo b}]}
    """)
    commit = origin.commit({".github/workflows/w.yml": text})

    def cancel_when_ready(started: Run) -> None:
        import threading

        def watch() -> None:
            while not list(started.folder.glob("job-*/temp/ready")):
                time.sleep(0.02)
            started.cancel.set()

        threading.Thread(target=watch, daemon=True).start()

    runner.on_start = cancel_when_ready
    done = runner.run("w.yml", push(commit))
    assert done.result == "cancelled"
    assert "interrupted" in done["a"].log
    assert done["b"].result == "cancelled"


def test_processes_that_a_step_leaves_behind_are_named_and_ended(run: Runs) -> None:
    # The shell's child is the shell until it has become `sleep`.
    started = "until ps -o args= -p $! | grep -q ^sleep; do sleep 0.05; done"
    done = run(job(f"- run: |\n    sleep 61 &\n    {started}"))
    assert done["main"].orphans == ["sleep 61"]
    assert run(job("- run: 'true'"))["main"].orphans == []


def test_checkout_gives_the_events_commit(run: Runs) -> None:
    done = run(
        job(CHECKOUT + '- run: cat hello && test "$(git rev-parse HEAD)" = "$GITHUB_SHA"'
            "\n- run: echo ${{ hashFiles('hello') != '' && hashFiles('none') == '' }}", head=READS),
        files={"hello": "there\n"},
    )  # fmt: skip
    assert done.result == "success", done["main"].log
    assert "there" in done["main"].log
    assert done["main"].steps[2].log == ["true"]


def test_checkout_needs_the_permission_to_read(run: Runs) -> None:
    done = run(job(CHECKOUT, head="permissions: {}"))
    assert done.result == "failure"
    assert "may not read" in done["main"].log


def test_an_artifact_reaches_another_job_of_the_run(run: Runs) -> None:
    done = run(
        workflow("""
            make:
              runs-on: u
              steps:
                - run: mkdir out && echo data > out/file
                - {uses: actions/upload-artifact@v7, with: {name: plan-dev, path: out}}
            use:
              needs: make
              runs-on: u
              steps:
                - {uses: actions/download-artifact@v8, with: {pattern: plan-*, path: all}}
                - {uses: actions/download-artifact@v8, with: {name: plan-dev, path: one}}
                - run: cmp all/plan-dev/file one/file
        """)
    )
    assert done.result == "success"


def test_an_artifacts_name_is_taken_unless_the_step_overwrites_it(run: Runs) -> None:
    def twice(overwrite: str) -> str:
        upload = f"{{name: plan-dev, path: out, overwrite: {overwrite}}}"
        again = f"- {{uses: actions/upload-artifact@v7, with: {upload}}}"
        done = run(job(f"- run: mkdir out && echo data > out/file\n{again}\n{again}"))
        return done.result

    assert twice("false") == "failure"
    assert twice("true") == "success"


def test_a_composite_action_runs_its_steps_with_its_inputs_and_outputs(run: Runs) -> None:
    action = """
name: Greet
description: d
inputs: {who: {description: d, required: true}, loud: {description: d, default: "no"}}
outputs: {text: {description: d, value: "${{ steps.say.outputs.text }}"}}
runs:
  using: composite
  steps:
    - id: say
      shell: bash
      env: {WHO: "${{ inputs.who }}"}
      run: echo "text=hello $WHO ${{ inputs.loud }}" >> "$GITHUB_OUTPUT"
    - if: inputs.loud == 'yes'
      shell: bash
      run: exit 1
"""
    done = run(
        job("""
            - {id: greet, uses: $/actions/greet, with: {who: "${{ github.ref_name }}"}}
            - run: echo "${{ steps.greet.outputs.text }}"
            - {uses: $/actions/greet, with: {who: x, loud: "yes"}}
        """),
        files={"actions/greet/action.yml": action},
    )
    assert done["main"].steps[1].log == ["hello main no"]
    assert done["main"].steps[2].conclusion == "failure"


def test_a_self_repository_action_is_the_commits_even_if_a_step_rewrote_the_checkout(
    run: Runs,
) -> None:
    action = "name: A\nruns: {using: composite, steps: [{shell: bash, run: echo genuine}]}\n"
    done = run(
        job(CHECKOUT + """
- run: sed -i s/genuine/forged/ actions/a/action.yml
- uses: $/actions/a
- uses: ./actions/a
""", head=READS),
        files={"actions/a/action.yml": action},
    )  # fmt: skip
    assert done["main"].steps[2].log == ["[echo genuine]", "genuine"]
    assert done["main"].steps[3].log == ["[echo forged]", "forged"]
