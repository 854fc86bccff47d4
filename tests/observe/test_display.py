from __future__ import annotations

import contextlib
import io
import re
import threading

from rich.console import Console

from fedactors.observe.display import LEARNER_ROWS_MAX, Display, Output
from fedactors.record import Event
from tests.observe.story import Story, whole_run


def terminal(width: int = 100, height: int = 40) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=width, height=height, highlight=False, color_system=None)


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def shown(events: list[Event], width: int = 100, height: int = 40, **options: int | None) -> list[str]:
    """The picture after these events, as lines."""
    console = terminal(width, height)
    now = iter([0.0, 75.0, 75.0])
    display = Display("digits", console=console, clock=lambda: next(now), **options)  # type: ignore[arg-type]
    for event in events:
        display._board.apply(event)
    console.print(display.picture())
    return [line.rstrip() for line in written(console).splitlines()]


def test_without_a_terminal_every_event_that_matters_is_a_plain_line() -> None:
    console = Console(file=io.StringIO(), width=20)
    with Display("digits", rounds_total=2, console=console) as display:
        for event in whole_run():
            display(event)
    assert written(console).splitlines() == [
        "waiting: 0 of 3 learners are here",
        "learner a joined  (100 training examples, 10 test examples)",
        "learner b joined  (100 training examples, 10 test examples)",
        "learner c joined  (100 training examples, 10 test examples)",
        "version 0 is from learner a  (1,000 parameters, 4.0 kB)",
        "round 1/2 version 1  loss 0.5  accuracy 0.5  1.0 s  3/3 learners",
        "warning: round 2: learner c's update was refused (layout): because",
        "round 2/2 version 2  loss 0.25  accuracy 0.75  1.0 s  2/3 learners",
        "stopping: 2 rounds are done",
        "finished: 2 rounds are done",
    ]


def test_on_a_terminal_the_picture_has_progress_metrics_and_a_line_for_each_learner() -> None:
    lines = shown(whole_run()[:-2], rounds_total=2)
    assert re.fullmatch(r"digits ━+ 2/2 rounds 0:01:15", lines[0])
    assert lines[1] == "round 2  version 2  loss 0.25  accuracy 0.75"
    assert lines[2].split() == ["learner", "state", "examples", "train", "up", "down", "metrics"]
    assert lines[3].split() == ["a", "evaluated", "100", "0.1", "s", "8.0", "kB", "8.0", "kB", "accuracy", "0.75"]
    assert lines[5].split()[:2] == ["c", "refused"]
    assert len(lines) == 6


def test_learners_stand_in_order_of_their_numbers() -> None:
    lines = shown(Story().joined("l10", "l2", "l1"))
    assert [line.split()[0] for line in lines[3:]] == ["l1", "l2", "l10"]


def test_columns_do_not_move_as_states_change() -> None:
    headers = {shown(whole_run()[:count], rounds_total=2)[2].index("metrics") for count in range(2, 22)}
    assert len(headers) == 1


def test_where_the_end_is_open_rounds_are_counted() -> None:
    assert "2 rounds" in shown(whole_run()[:-2])[0]
    assert "1 round " in shown([Story().ended(1, ["a"])])[0]


def test_a_narrow_terminal_shows_states_and_metrics_only() -> None:
    assert shown(whole_run(), width=50)[2].split() == ["learner", "state", "metrics"]


def test_of_many_learners_those_in_trouble_are_shown_and_the_rest_is_counted() -> None:
    many = [f"l{number}" for number in range(1000)]
    story = Story()
    lines = shown([*story.joined(*many), story.began(1, *many), story.accepted(1, "l999")])
    assert len(lines) == 3 + LEARNER_ROWS_MAX + 1
    assert lines[-1] == "and 976 more: 975 training, 1 uploaded"
    events = [*story.joined(*many), story.departed("l7", "lost"), story.began(1, *many), story.refused(1, "l9", "layout")]
    lines = shown(events, height=16)
    assert lines[3].split()[:2] == ["l9", "refused"]
    assert lines[-1] == "and 992 more: 991 training, 1 lost"


def test_a_live_display_leaves_rounds_and_warnings_and_no_picture() -> None:
    console = terminal()
    with Display("digits", rounds_total=2, console=console) as display:
        for event in whole_run():
            display(event)
    text = written(console)
    assert "round 2/2 version 2  loss 0.25" in text
    assert "warning: round 2: learner c's update was refused" in text
    assert "learner a joined" not in text
    hidden, restored = "\x1b[?25l", "\x1b[?25h"
    assert text.count(hidden) == text.count(restored) == 1
    assert text.rstrip().endswith("\x1b[2K")  # the last thing done was to erase the picture


def test_a_live_display_ends_cleanly_when_it_is_interrupted() -> None:
    console, before = terminal(), threading.enumerate()
    display = Display("digits", console=console)
    with contextlib.suppress(KeyboardInterrupt), display:
        for event in whole_run()[:9]:
            display(event)
        raise KeyboardInterrupt
    assert written(console).count("\x1b[?25h") == 1
    for thread in set(threading.enumerate()) - set(before):
        thread.join(timeout=5.0)
        assert not thread.is_alive()


def test_a_reader_who_is_gone_does_not_end_the_run() -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    with Display("digits", console=Output(Gone())) as display:
        for event in whole_run():
            display(event)


def test_brackets_in_a_message_are_not_markup() -> None:
    console = Console(file=io.StringIO(), width=200)
    Display("digits", console=console)(Story().refused(1, "a", "layout", "tensor 'w' has shape [3, 3]; [red]no[/red]"))
    assert "[3, 3]; [red]no[/red]" in written(console)


def test_a_run_that_is_watched_shows_no_lines_and_the_time_since_its_first_event() -> None:
    console = terminal()
    display = Display("digits", rounds_total=2, console=console, clock=lambda: 1_075.2, watches=True)
    for event in whole_run():
        display(event)
    assert written(console) == ""
    console.print(display.picture())
    assert re.fullmatch(r"digits ━+ 2/2 rounds 0:01:15", written(console).splitlines()[0].rstrip())
