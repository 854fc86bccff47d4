"""The frame of a page that is one file; pure."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

STYLE = """
:root { --ground: #fff; --ink: #1b1d20; --dim: #565b62; --line: #dcdfe3;
  --series-1: #0b62b8; --series-2: #c24a00; --series-3: #00735a; --series-4: #8a3fa0; --series-5: #a51620; --series-6: #565b62;
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }
@media (prefers-color-scheme: dark) { :root { --ground: #15171a; --ink: #e9eaec; --dim: #a9afb6; --line: #353a41;
  --series-1: #72b6f7; --series-2: #f2a35e; --series-3: #4fd0a5;
  --series-4: #d59be6; --series-5: #ff8f8f; --series-6: #a9afb6; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1240px; padding: 24px 16px; background: var(--ground); color: var(--ink); }
h1 { font-size: 1.6rem; margin: 0 0 8px; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 32px 0 8px; border-bottom: 1px solid var(--line); padding-bottom: 4px; }
.note { color: var(--dim); margin: 0 0 8px; font-size: .875rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
th { text-align: left; color: var(--dim); vertical-align: bottom; }
th, td { padding: 4px 16px 4px 0; border-bottom: 1px solid var(--line); vertical-align: top; white-space: nowrap; }
td:not(.number) { white-space: pre-wrap; }
.number { text-align: right; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(340px, 100%), 1fr)); gap: 16px; }
.chart { width: 100%; height: auto; font-size: 12px; }
.bar { display: block; border-radius: 4px; }
.title { font-weight: 600; font-size: 13px; fill: var(--ink); }
.tick { fill: var(--dim); }
.grid { stroke: var(--line); }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; }
circle.line { stroke-width: 5; }
.series-1 { stroke: var(--series-1); } .series-2 { stroke: var(--series-2); } .series-3 { stroke: var(--series-3); }
.series-4 { stroke: var(--series-4); } .series-5 { stroke: var(--series-5); } .series-6 { stroke: var(--series-6); }
.part-1 { fill: var(--series-6); } .part-2 { fill: var(--series-1); } .part-3 { fill: var(--series-2); }
.part-4 { fill: var(--series-3); }
rect { stroke: var(--ground); stroke-width: 1; }
.legend { list-style: none; margin: 4px 0 12px; padding: 0; display: flex; flex-wrap: wrap; gap: 4px 20px; font-size: .875rem; }
.legend svg { margin-right: 6px; }
pre { overflow: auto; font-size: .8125rem; }
@media print { body { max-width: none; } details > pre { white-space: pre-wrap; } }
"""


def page(title: str, sections: Iterable[str]) -> str:
    """A whole document; the sections are HTML already, the title is text."""
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<style>{STYLE}</style>\n</head>\n'
        f"<body>\n<h1>{escape(title)}</h1>\n{''.join(sections)}\n</body>\n</html>\n"
    )
