import io
import time

import pytest

from pipeline.tracking import progress


class _Stream(io.StringIO):
    terminal = False

    def isatty(self) -> bool:
        return self.terminal


@pytest.fixture
def stream(monkeypatch: pytest.MonkeyPatch) -> _Stream:
    found = _Stream()
    monkeypatch.setattr(progress, "_ON_A_TERMINAL", (0.01, 0.01))
    monkeypatch.setattr(progress, "_ELSEWHERE", (0.01, 0.01))
    return found


def _until(stream: _Stream, text: str) -> None:
    end = time.monotonic() + 30
    while text not in stream.getvalue():
        assert time.monotonic() < end, stream.getvalue()
        time.sleep(0.005)


def test_a_long_step_says_what_it_does_in_lines_of_their_own(stream: _Stream) -> None:
    with progress.shown(stream):
        _until(stream, "working, 0:00 so far\n")
        progress.note("trial 3 of 12")
        _until(stream, "trial 3 of 12, 0:00 so far\n")


def test_on_a_terminal_one_line_is_written_over_and_goes(stream: _Stream) -> None:
    stream.terminal = True
    with progress.shown(stream):
        progress.note("trial 3 of 12")
        _until(stream, "trial 3 of 12, 0:00")
    assert "\n" not in stream.getvalue()
    assert stream.getvalue().endswith("\r\x1b[K")


def test_a_short_step_says_nothing(stream: _Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_ELSEWHERE", (30.0, 30.0))
    with progress.shown(stream):
        progress.note("trial 3 of 12")
    assert stream.getvalue() == ""


def test_a_step_that_fails_ends_the_thread(stream: _Stream) -> None:
    with pytest.raises(RuntimeError, match="broken"), progress.shown(stream):
        _until(stream, "working")
        raise RuntimeError("broken")
    told = stream.getvalue()
    time.sleep(0.05)
    assert stream.getvalue() == told


def test_without_a_standard_error_the_step_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", None)
    with progress.shown():
        progress.note("trial 3 of 12")


def test_a_reader_that_is_gone_does_not_stop_the_step(stream: _Stream) -> None:
    with progress.shown(stream):
        stream.close()
        time.sleep(0.05)
