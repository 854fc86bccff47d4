"""What a federation must not forget: an append-only file of what happened, and the state of a run that it tells.

records   what is written: news, tokens, tasks, updates that count, commits that begin
file      where it is written: whole records only, whatever kills the process
story     what it comes to: where a resumed federation goes on
"""

from fedactors.journal.file import Durability, FileJournal
from fedactors.journal.journal import Journal, NoJournal
from fedactors.journal.records import Admitted, Committing, Counted, Given, Happened, Opened, Record
from fedactors.journal.story import Story, Unended, told

__all__ = [
    "Admitted",
    "Committing",
    "Counted",
    "Durability",
    "FileJournal",
    "Given",
    "Happened",
    "Journal",
    "NoJournal",
    "Opened",
    "Record",
    "Story",
    "Unended",
    "told",
]
