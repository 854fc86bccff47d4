"""A run as it goes: a live picture on a terminal, plain lines anywhere else.

digits ━━━━━━━━━━━━━━━━━━━╸━━━━━━━━━━━━━━  6/10 rounds  0:00:12
version 6  loss 0.2112  accuracy 0.9412
learner  state       examples  train    up      down    metrics
l0       uploaded       1,000  0.41 s   2.6 MB  3.1 MB  loss 0.2
l1       training         743  0.38 s   2.2 MB  2.6 MB  loss 0.3

Rounds and warnings stay above the picture as lines; the picture itself is gone at the end, for the summary to take its place.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from itertools import chain, islice
from types import TracebackType
from typing import IO, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text
from typing_extensions import override

from fedactors.model import LearnerId
from fedactors.observe import figures
from fedactors.observe.board import GONE, TROUBLED, Board, Line, Row, State, Weight
from fedactors.record import Event

REFRESHES_PER_S = 8
LEARNER_ROWS_MAX = 24
"""In the live picture; the others are counted below it."""
LINES_AROUND = 8
"""Of a terminal's height, kept free of learners."""
WIDE_COLUMNS = 76
"""A narrower terminal shows learners without their counts."""

_STYLES = {Weight.ROUND: "", Weight.DETAIL: "", Weight.WARNING: "yellow", Weight.FAILURE: "bold red"}
_STATE_STYLES = {
    State.TRAINING: "cyan",
    State.EVALUATING: "cyan",
    State.UPLOADED: "green",
    State.EVALUATED: "green",
    State.WAITING: "dim",
    State.LEFT: "dim",
    **dict.fromkeys(TROUBLED, "yellow"),
}


class Output(Console):
    """Standard output; what is written after its reader has gone is dropped."""

    def __init__(self, file: IO[str] | None = None) -> None:
        super().__init__(highlight=False, file=file)

    @override
    def on_broken_pipe(self) -> None:
        self.quiet = True


class Display:
    """Shows events one at a time, from entering to leaving its context; it may be called from one thread at a time.

    Args:
        name: of the federation.
        rounds_total: how many rounds there shall be; None where that is open.
        evaluate_every: as configured.
        console: where to show; standard output if it is not given.
        clock: monotonic seconds.
        watches: the run may have begun before: no lines are shown, and the time is that since its first event, by a clock of
            seconds since 1970.
    """

    def __init__(
        self,
        name: str,
        *,
        rounds_total: int | None = None,
        evaluate_every: int = 1,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
        watches: bool = False,
    ) -> None:
        self._watches = watches
        self._heard = False
        self._name = name
        self._board = Board(rounds_total, evaluate_every)
        self._console = console or Output()
        self._clock = clock
        self._began_s = clock()
        self._lock = threading.Lock()  # the picture is drawn by a thread of rich's
        self._live: Live | None = None

    def __enter__(self) -> Self:
        self._began_s = self._clock()
        if self._console.is_terminal and not self._console.is_dumb_terminal:
            self._live = Live(
                get_renderable=self.picture, console=self._console, refresh_per_second=REFRESHES_PER_S, transient=True
            )
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def __call__(self, event: Event) -> None:
        """Show an event. Never raises because the reader of the output has gone."""
        with self._lock:
            lines = self._board.apply(event)
            if self._watches and not self._heard:
                self._heard, self._began_s = True, event.unix_time_s
        for line in () if self._watches else lines:
            self._show(line)

    def _show(self, line: Line) -> None:
        if self._live is not None and line.weight is Weight.DETAIL:
            return
        prefix = "warning: " if line.weight is Weight.WARNING else ""
        text = "failed" if line.weight is Weight.FAILURE else prefix + line.text  # the command ends by saying why
        self._console.print(Text(text, style=_STYLES[line.weight]), soft_wrap=True)

    def picture(self) -> RenderableType:
        """What the terminal shows now."""
        with self._lock:
            board = self._board
            status = [board.note] if board.note else [f"round {board.round}", f"version {board.version}"]
            if board.metrics:
                status.append(figures.metrics(board.metrics))
            if board.epsilon is not None:
                status.append(f"epsilon {board.epsilon:.4g}")
            return Group(self._progress(), Text("  ".join(status), no_wrap=True, overflow="ellipsis"), *self._learners())

    def _progress(self) -> RenderableType:
        board, total = self._board, self._board.rounds_total
        elapsed_s = self._clock() - self._began_s
        count = figures.counted(board.rounds_ended, "round") if total is None else f"{board.rounds_ended}/{total} rounds"
        bar = ProgressBar(total=total, completed=board.rounds_ended, pulse=total is None, animation_time=elapsed_s)
        grid = Table.grid(padding=(0, 1), expand=True)
        grid.add_column(no_wrap=True)
        grid.add_column(ratio=1)
        grid.add_column(no_wrap=True)
        grid.add_column(no_wrap=True, style="dim")
        grid.add_row(Text(self._name, style="bold"), bar, count, _clock_face(elapsed_s))
        return grid

    def _learners(self) -> list[RenderableType]:
        learners = self._board.learners
        if not learners:
            return []
        shown = self._shown()
        wide = self._console.width >= WIDE_COLUMNS
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        table.add_column("learner", no_wrap=True)
        table.add_column("state", no_wrap=True, min_width=max(map(len, State)))  # does not jump as states change
        for header in ("examples", "train", "up", "down") if wide else ():
            table.add_column(header, justify="right", no_wrap=True, min_width=7)
        table.add_column("metrics", no_wrap=True, overflow="ellipsis")
        for learner, row in shown.items():
            table.add_row(*_cells(learner, row, wide=wide))
        if len(shown) == len(learners):
            return [table]
        rest = Counter(self._board.counts()) - Counter(row.state for row in shown.values())
        said = ", ".join(f"{number:,} {state}" for state, number in rest.most_common())
        return [table, Text(f"and {rest.total():,} more: {said}", style="dim")]

    def _shown(self) -> dict[LearnerId, Row]:
        """All in order of their ids; or as many as there is room for, those in trouble first, those that are gone last."""
        learners = self._board.learners
        room = max(1, min(LEARNER_ROWS_MAX, self._console.height - LINES_AROUND))
        if len(learners) <= room:
            return dict(sorted(learners.items(), key=lambda item: figures.natural(item[0])))
        troubled, gone = [state for state in State if state in TROUBLED - GONE], [state for state in State if state in GONE]
        well = [state for state in State if state not in TROUBLED and state not in GONE]
        ordered = chain.from_iterable(map(self._board.of_state, [*troubled, *well, *gone]))
        return {learner: learners[learner] for learner in islice(ordered, room)}


def _cells(learner: LearnerId, row: Row, *, wide: bool) -> list[RenderableType]:
    cells: list[RenderableType] = [Text(learner), Text(row.state, style=_STATE_STYLES[row.state])]
    if wide:
        cells.append(f"{row.examples:,}" if row.examples else "")
        cells.append(figures.duration(row.train_s) if row.train_s is not None else "")
        cells.extend(figures.size(nbytes) if nbytes else "" for nbytes in (row.bytes_up, row.bytes_down))
    return [*cells, Text(figures.metrics(row.metrics))]


def _clock_face(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 3600}:{whole % 3600 // 60:02}:{whole % 60:02}"
