"""A journal's file: whole records, whatever happens to whoever writes it."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedactors.errors import StoreError
from fedactors.journal import Committing, Counted, FileJournal, Given, Happened, Known, Opened, told
from fedactors.journal.file import MAGIC, read
from fedactors.journal.records import decode, encode
from fedactors.record import Event, EventKind
from fedactors.task import NUMBER_MAX, TaskKind, TrainReport

OPENED = Opened("clinics", 7, {"aggregation.rule": "fedavg"})
RECORDS = [
    Happened(Event(0, 1.5, EventKind.WAITING, {"why": "x"})),
    Known("a", b"\x00\x01"),
    Given("t1", "a", TaskKind.TRAIN, 1, 0),
    Counted("t1", "a", 1, 4, 0, TrainReport(12, 3, 0.5, 1.0, 2.0, {"loss": 0.25})),
    Committing(1, 1),
    Happened(Event(1, 2.5, EventKind.ROUND_COMMITTED, {"round": 1, "version": 1})),
]
texts = st.text(max_size=8)
names = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=8)
counts = st.integers(0, 2**53)
accepted = st.integers(0, NUMBER_MAX)  # more is refused before it could be written
reports = st.builds(
    TrainReport, accepted, accepted, st.floats(0, 9), st.floats(0, 9), st.floats(0, 9), st.dictionaries(names, st.floats(0, 1))
)
records = st.one_of(
    st.builds(Opened, texts, counts, st.dictionaries(texts, texts)),
    st.builds(Happened, st.builds(Event, counts, st.floats(0, 1e10), st.sampled_from(EventKind), st.dictionaries(texts, counts))),
    st.builds(Known, texts, st.binary(max_size=16)),
    st.builds(Given, texts, texts, st.sampled_from(TaskKind), counts, counts),
    st.builds(Counted, texts, texts, counts, counts, counts, reports),
    st.builds(Committing, counts, counts),
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal"


def written(path, *more):
    journal = FileJournal(path, OPENED)
    for record in (*RECORDS, *more):
        journal.write(record)
    journal.close()


@given(records)
def test_a_record_reads_as_it_was_written(record):
    assert decode(encode(record)) == record


def test_numpys_numbers_and_sets_are_written_as_plain_ones():
    event = Event(0, 0.0, EventKind.LEARNER_JOINED, {"loss": np.float32(0.5), "tags": frozenset({"b", "a"})})
    assert decode(encode(Happened(event))).event.body == {"loss": 0.5, "tags": ["a", "b"]}


def test_what_cannot_be_written_is_one_error_and_leaves_nothing(path):
    journal = FileJournal(path, OPENED)
    size = path.stat().st_size
    with pytest.raises(StoreError, match="a record Happened cannot be written"):
        journal.write(Happened(Event(0, 0.0, EventKind.WAITING, {"why": object()})))
    assert path.stat().st_size == size
    journal.close()


def test_a_journal_goes_on_where_it_was(path):
    written(path)
    journal = FileJournal(path, OPENED, resume=True)
    assert journal.events == [RECORDS[0].event, RECORDS[-1].event]
    assert journal.story == told([OPENED, *RECORDS, OPENED])
    journal.write(Committing(2, 2))
    journal.close()
    assert read(path).records == [OPENED, *RECORDS, OPENED, Committing(2, 2)]


@pytest.mark.parametrize("power", ["process", "power"])
def test_both_durabilities_write_the_same(path, power):
    journal = FileJournal(path, OPENED, durability=power)
    for record in RECORDS:
        journal.write(record)
    journal.close()
    assert read(path).records == [OPENED, *RECORDS]


def test_a_record_that_was_not_finished_is_cut_off(path):
    written(path)
    whole = path.read_bytes()
    last = len(encode(RECORDS[-1])) + 12
    for cut in range(1, last):
        path.write_bytes(whole[:-cut])
        journal = FileJournal(path, OPENED, resume=True)
        assert journal.story == told([OPENED, *RECORDS[:-1], OPENED])
        journal.close()
        assert read(path).records == [OPENED, *RECORDS[:-1], OPENED]


def test_damage_amid_the_file_is_named(path):
    written(path)
    whole = bytearray(path.read_bytes())
    whole[len(MAGIC) + 12 + len(encode(OPENED)) + 20] ^= 1
    path.write_bytes(whole)
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"is damaged at record 1 \(byte \d+\): its checksum is wrong"):
        FileJournal(path, OPENED, resume=True)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("opened", "said"),
    [
        (Opened("banks", 7, OPENED.plan), "was begun with name = 'clinics'; it cannot go on with 'banks'"),
        (Opened("clinics", 8, OPENED.plan), "was begun with seed = 7; it cannot go on with 8"),
        (Opened("clinics", 7, {"aggregation.rule": "krum"}), "aggregation.rule = 'fedavg'; it cannot go on with 'krum'"),
    ],
)
def test_a_foreign_journal_is_refused(path, opened, said):
    written(path)
    with pytest.raises(StoreError, match=said):
        FileJournal(path, opened, resume=True)
    assert read(path).records == [OPENED, *RECORDS]


def test_a_journal_is_never_begun_over_another(path):
    written(path)
    with pytest.raises(StoreError, match=r"there is a journal at .* already; go on with it by --resume"):
        FileJournal(path, OPENED)
    assert read(path).records == [OPENED, *RECORDS]


def test_what_is_no_journal_is_refused(path):
    with pytest.raises(StoreError, match="there is no journal at"):
        FileJournal(path, OPENED, resume=True)
    path.write_bytes(b"something else entirely")
    with pytest.raises(StoreError, match="is no journal of fedactors"):
        FileJournal(path, OPENED, resume=True)
    assert path.read_bytes() == b"something else entirely"


def test_two_processes_do_not_keep_one_journal(path):
    written(path)
    journal = FileJournal(path, OPENED, resume=True)
    with pytest.raises(StoreError, match="is in use by another process"):
        FileJournal(path, OPENED, resume=True)
    journal.close()
    FileJournal(path, OPENED, resume=True).close()


def test_a_directory_that_cannot_be_written_to_is_one_error(tmp_path):
    with pytest.raises(StoreError, match=r"there is no journal|cannot be used"):
        FileJournal(tmp_path / "nowhere" / "journal", OPENED)


def test_a_full_disk_leaves_no_half_of_a_record(path):
    code = (
        "import resource, sys\n"
        "from fedactors.errors import StoreError\n"
        "from fedactors.journal import FileJournal, Opened, Known\n"
        "import pathlib, signal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "journal = FileJournal(pathlib.Path(sys.argv[1]), Opened('clinics', 7, {'aggregation.rule': 'fedavg'}))\n"
        "try:\n"
        "    while True: journal.write(Known('a', bytes(100)))\n"
        "except StoreError as error: print(error)\n"
    )
    said = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=30, check=True).stdout
    assert "make room, or choose another directory" in said
    found = read(path)
    assert found.whole_bytes == path.stat().st_size
    assert set(found.records[1:]) == {Known("a", bytes(100))}


def test_every_record_that_was_written_survives_a_kill(path):
    code = (
        "import sys, pathlib\n"
        "from fedactors.journal import FileJournal, Opened, Committing\n"
        "journal = FileJournal(pathlib.Path(sys.argv[1]), Opened('clinics', 7, {}))\n"
        "for number in range(10**9):\n"
        "    journal.write(Committing(number, number))\n"
        "    if number % 1000 == 0: print(number, flush=True)\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
    for _ in range(3):
        last = int(writer.stdout.readline())
    time.sleep(0.003)
    os.kill(writer.pid, signal.SIGKILL)
    writer.communicate(timeout=10)
    found = read(path).records[1:]
    assert found == [Committing(number, number) for number in range(len(found))]
    assert len(found) > last
