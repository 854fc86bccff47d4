"""docs/many-federations.md is played: two federations in one process, of which one is added and stopped while it goes on."""

from __future__ import annotations

import re
from contextlib import ExitStack

import httpx
import pytest

from fedactors.hosting.files import FILE
from fedactors.protocol.federations import Condition
from tests.cli.steady import said
from tests.docs.test_code_blocks import ROOT, blocks, words
from tests.e2e.support import interrupt, results, started, wait_for

PAGE = ROOT / "docs" / "many-federations.md"
SERVE, LEARNERS, OPERATE = [text.splitlines() for language, text in blocks(PAGE) if language == "bash"]
(LINE,) = [text for language, text in blocks(PAGE) if language == "toml"]
ADMIN, AT = "grpc://127.0.0.1:4449", "grpc://127.0.0.1:4451"


@pytest.mark.e2e
def test_the_commands_do_what_the_page_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "federations").mkdir()
    (tmp_path / "line.py").write_text(next(text for language, text in blocks(ROOT / "README.md") if language == "python"))
    here = {AT: f"grpc://{tmp_path}/line.sock"}
    (tmp_path / "federations" / "line.toml").write_text(LINE.replace(*next(iter(here.items()))))
    (tmp_path / "other.toml").write_text(LINE.replace(AT, f"grpc://{tmp_path}/other.sock"))
    export, ls, add, stop = OPERATE
    name, address = re.fullmatch(r"export (\w+)=(\S+)", export).groups()
    assert address == ADMIN
    monkeypatch.setenv(name, f"grpc://{tmp_path}/admin.sock")
    with ExitStack() as exits:
        (serve,) = SERVE
        process = exits.enter_context(
            started(*words(serve, {ADMIN: f"grpc://{tmp_path}/admin.sock"}), "--metrics", "0", cwd=tmp_path, name="serve")
        )
        wait_for((tmp_path / "admin.sock").exists, what="the desk")
        learners = [
            exits.enter_context(started(*words(line), cwd=tmp_path, name=f"learner-{n}")) for n, line in enumerate(LEARNERS)
        ]
        assert said(*words(add)) == "other is begun\n"
        assert (tmp_path / "federations" / "other.toml").is_file()
        assert [learner.wait(30) for learner in learners] == [0, 0]
        wait_for(lambda: re.search(r"^line +finished +5/5 ", said(*words(ls)), re.MULTILINE), what="the end of one")
        assert re.search(r"^other +waiting +0/5 ", said(*words(ls)), re.MULTILINE)
        (url,) = re.findall(r"^metrics: (\S+)$", (tmp_path / "serve.out").read_text(), re.MULTILINE)
        figures = httpx.get(url).text
        for line in ('rounds_total{federation="line"} 5.0', 'federation_state{federation="other",state="waiting"} 1.0'):
            assert f"\nfedactors_{line}\n" in figures
        assert said(*words(stop)).startswith("other ends its open round")
        interrupt(process)
        assert process.wait(20) == 0
    assert len(results(tmp_path / "runs" / "line")["rounds"]) == 5
    assert "federation=line" in (tmp_path / "serve.out").read_text()


def test_every_state_and_the_files_that_it_names_are_those_that_there_are():
    text = PAGE.read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE) == [str(one) for one in Condition]
    assert f"digits/{FILE}" in text
