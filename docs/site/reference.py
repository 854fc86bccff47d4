"""The pages of the site that are made from the code: every key of the configuration, every verb, and the public API.

A hook of mkdocs. Links that lead out of `docs` are taken into the repository's own pages, which the site shows, too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from fedactors import plugins

ROOT = Path(__file__).parents[2]
OUTSIDE = (
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "benchmarks/README.md",
    "schemas/README.md",
)
"""Pages of the repository beside `docs`; the examples' come to them."""
MODULES = {
    "embedding": ["fedactors.system.Federation", "fedactors.record", "fedactors.stop"],
    "learners": ["fedactors.learner.base", "fedactors.learner.torch", "fedactors.task"],
    "plug-ins": [
        "fedactors.scheduling.base",
        "fedactors.selection.base",
        "fedactors.aggregation.base",
        "fedactors.storage.base",
        "fedactors.transport.base",
    ],
    "actors": ["fedactors.runtime.actor", "fedactors.runtime.ref", "fedactors.runtime.system", "fedactors.runtime.supervisor"],
    "errors": ["fedactors.errors"],
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is made from the code, and the pages that stand beside `docs`."""
    made = {"reference/configuration.md": configuration(), "reference/commands.md": commands()}
    made |= {
        f"reference/{name}.md": f"# {name.capitalize()}\n\n" + "".join(f"::: {at}\n\n" for at in at_all)
        for name, at_all in MODULES.items()
    }
    made |= {f"repository/{path}": (ROOT / path).read_text(encoding="utf-8") for path in outside()}
    for path, text in made.items():
        files.append(File.generated(config, path, content=text))
    for image in ROOT.glob("examples/**/*.png"):
        files.append(File.generated(config, f"repository/{image.relative_to(ROOT)}", abs_src_path=str(image)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links across the border of `docs`, and to files that are no pages."""
    here = Path(page.file.src_uri)
    source = Path("/", *here.parts[1:]) if here.parts[0] == "repository" else Path("/docs", here)
    return re.sub(r"(?<=\]\()(?!https?:|#)([^)#]+)", lambda match: _link(match[1], here, source), markdown)


def _link(target: str, here: Path, source: Path) -> str:
    parts: list[str] = []
    for part in [*source.parent.parts[1:], *Path(target).parts]:
        parts = parts[:-1] if part == ".." else [*parts, part]
    inside = "/".join(parts)
    if inside in outside() or inside.endswith(".png"):
        page = inside if inside.startswith("docs/") else f"repository/{inside}"
    elif f"{inside}/README.md" in outside():
        page = f"repository/{inside}/README.md"
    else:
        page = inside
    up = "../" * (len(here.parts) - 1)
    return up + (page.removeprefix("docs/") if page.endswith((".md", ".png")) else "repository/README.md")


def outside() -> list[str]:
    """The repository's pages beside `docs`, as paths from its root."""
    return [
        path
        for path in (*OUTSIDE, *(str(page.relative_to(ROOT)) for page in sorted(ROOT.glob("examples/*/README.md"))))
        if (ROOT / path).exists()
    ]


def configuration() -> str:
    """Every table and key, from the JSON schema."""
    schema = json.loads((ROOT / "schemas" / "federation.schema.json").read_text(encoding="utf-8"))
    lines = [
        "# The configuration",
        "",
        schema["description"],
        "",
        *_keys(schema, lambda key: "$ref" not in json.dumps(schema["properties"][key])),
    ]
    for name, part in schema["properties"].items():
        reference = re.search(r'"\$ref": "#/\$defs/(\w+)"', json.dumps(part))
        if reference is not None:
            table = schema["$defs"][reference[1]]
            lines += ["", f"## [{name}]", "", table.get("description", ""), "", *_keys(table)]
    return "\n".join(lines) + "\n"


def _keys(table: dict[str, Any], wanted: Any = lambda _: True) -> Iterator[str]:
    yield from ("| key | default | what it says |", "|---|---|---|")
    for key, said in table["properties"].items():
        if wanted(key):
            default = f"`{json.dumps(said['default'])}`" if "default" in said else ""
            yield f"| `{key}` | {default} | {said.get('description', '')} |".replace("\n", " ")


def commands() -> str:
    """Every verb's help, as the terminal shows it."""
    verbs = [(name, plugins.load("fedactors.cli", name)) for name in plugins.names("fedactors.cli")]
    return "# Commands\n" + "".join(_help(f"fedactors {name}", verb) for name, verb in verbs)


def _help(name: str, verb: click.Command) -> str:
    said = verb.get_help(click.Context(verb, info_name=name, max_content_width=120))
    under = "".join(_help(f"{name} {each}", part) for each, part in getattr(verb, "commands", {}).items())
    return f"\n## {name}\n\n```text\n{said}\n```\n{under}"
