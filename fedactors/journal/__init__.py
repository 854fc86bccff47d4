"""What a federation must not forget: an append-only file of what happened, and the state of a run that it tells.

records   what is written: news, tokens, tasks, updates that count, commits that begin
file      where it is written: whole records only, whatever kills the process
story     what it comes to: where a resumed federation goes on
"""

from fedactors.journal.file import Durability, FileJournal
from fedactors.journal.journal import Journal, NoJournal
from fedactors.journal.records import Committing, Counted, Given, Happened, Known, Opened, Record
from fedactors.journal.story import Story, UnendedRound, told

__all__ = [
    "Committing",
    "Counted",
    "Durability",
    "FileJournal",
    "Given",
    "Happened",
    "Journal",
    "Known",
    "NoJournal",
    "Opened",
    "Record",
    "Story",
    "UnendedRound",
    "told",
]
