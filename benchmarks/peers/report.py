"""What a sitting shows: Markdown tables and a plot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sitting import Cell, Outcome, Sitting, median_of
from systems import OURS, SYSTEMS
from workload import WIDTHS

BEGIN, END = "<!-- peers: written by peers/compare.py -->", "<!-- peers: end -->"
OTHER_TABLES = {
    "first_round_s": ("First round done after, s", "{:.1f}"),
    "controller_peak_rss_mb": ("Controller's peak memory, MiB", "{:.0f}"),
    "controller_cpu_s_per_round": ("Controller's processor seconds a round", "{:.3f}"),
    "mbytes_per_learner": ("MB over loopback for each learner and round", "{:.2f}"),
}


def report(sitting: Sitting) -> str:
    """All tables, with what they were taken on."""
    machine = sitting.machine
    place = f"{machine['cores']} cores, {machine['memory_gib']} GiB, {machine['kernel']}, Python {machine['python']}"
    tables = [f"Taken {sitting.began} on {place}: {versions(sitting)}."]
    tables.append(f"Seconds a steady round, and how many of ours that is:\n\n{table(sitting, seconds_and_ratio)}")
    for figure, (title, form) in OTHER_TABLES.items():
        tables.append(f"{title}:\n\n{table(sitting, only(figure, form))}")
    return "\n\n".join(tables + troubles(sitting))


def systems_of(sitting: Sitting) -> list[str]:
    """The systems that were measured, in the order of SYSTEMS."""
    return [name for name in SYSTEMS if any(outcome.system == name for outcome in sitting.outcomes)]


def versions(sitting: Sitting) -> str:
    """What was measured, by the names of packages."""
    return ", ".join(sorted({outcome.point.version for outcome in sitting.outcomes if outcome.point is not None}))


def table(sitting: Sitting, text: Callable[[Sitting, str, Cell], str]) -> str:
    """Grid points down, systems across."""
    names = systems_of(sitting)
    rows = [["learners x parameters", *(SYSTEMS[name].title for name in names)], ["---", *["---:"] * len(names)]]
    rows += [[f"{cell.learners} x {cell.parameters}", *(text(sitting, name, cell) for name in names)] for cell in sitting.cells()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def seconds_and_ratio(sitting: Sitting, name: str, cell: Cell) -> str:
    """`0.81 (5.4x)`; in our own column no ratio, and a remark where a system had fewer learners than the row says."""
    outcomes = sitting.of(name, cell)
    ours, seconds = (median_of(sitting.of(system, cell), "round_s") for system in (OURS, name))
    if seconds is None:
        return "no figure" if outcomes else ""
    ratio = f" ({seconds / ours:.1f}x)" if ours and name != OURS else ""
    return f"{seconds:.3g}{ratio}{fewer_learners(outcomes, cell)}"


def fewer_learners(outcomes: list[Outcome], cell: Cell) -> str:
    """A remark where a system was asked for fewer learners than the row says."""
    learners = min(outcome.point.learners for outcome in outcomes if outcome.point is not None)
    return f" with {learners} learners" if learners < cell.learners else ""


def only(figure: str, form: str) -> Callable[[Sitting, str, Cell], str]:
    """The text of a cell of the other tables."""

    def text(sitting: Sitting, name: str, cell: Cell) -> str:
        value = median_of(sitting.of(name, cell), figure)
        return "" if value is None else form.format(value)

    return text


def troubles(sitting: Sitting) -> list[str]:
    """A line for each run without figures."""
    lines = [f"* {SYSTEMS[o.system].title}, {o.cell}: {o.trouble}" for o in sitting.outcomes if o.trouble is not None]
    return ["Runs that came to no figure:\n\n" + "\n".join(sorted(set(lines)))] if lines else []


def write_into(readme: Path, text: str) -> None:
    """Replace what stands between the marks of a Markdown file.

    Raises:
        SystemExit: the file has no such marks.
    """
    before, begin, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{readme} has no lines {BEGIN!r} and {END!r} to write the tables between")
    readme.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


def plot(sitting: Sitting, path: Path) -> None:
    """Seconds a round against learners, one panel a model size, both axes logarithmic."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

    sizes = [size for size in WIDTHS if any(cell.parameters == size for cell in sitting.cells())]
    ticks = sorted({cell.learners for cell in sitting.cells()})
    figure = Figure(figsize=(3.2 + 3.2 * len(sizes), 4.4), layout="constrained")
    panels = figure.subplots(1, len(sizes), sharex=True, sharey=True, squeeze=False)[0]
    for axes, size in zip(panels, sizes, strict=True):
        cells = [cell for cell in sitting.cells() if cell.parameters == size]
        for place, name in enumerate(SYSTEMS):
            draw(axes, sitting, name, cells, f"C{place}")
        axes.set(title=f"{size} parameters", xlabel="learners", xscale="log", yscale="log")
        axes.xaxis.set(major_locator=FixedLocator(ticks), minor_locator=NullLocator())
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:.0f}"))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.grid(alpha=0.3, which="both")
    panels[0].set_ylabel("seconds a steady round")
    handles = {label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside right center", fontsize="small")
    figure.savefig(path, dpi=120)


def draw(axes, sitting: Sitting, name: str, cells: list[Cell], colour: str) -> None:
    """One system's line; dotted and hollow where it had fewer learners than the axis says."""
    known = [(cell, seconds) for cell in cells if (seconds := median_of(sitting.of(name, cell), "round_s")) is not None]
    if not known:
        return
    remark = max(fewer_learners(sitting.of(name, cell), cell) for cell, _ in known)
    look = {"linestyle": ":", "markerfacecolor": "white"} if remark else {"linewidth": 2.5 if name == OURS else 1.2}
    learners, seconds = [cell.learners for cell, _ in known], [value for _, value in known]
    axes.plot(learners, seconds, marker="o", color=colour, label=f"{SYSTEMS[name].title}{remark}", **look)
