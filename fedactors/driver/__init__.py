"""Starting, watching and ending federations from outside, and what is saved of them.

environment    what a run was run with
driver         the session with a controller, here or anywhere
run_directory  what a run leaves on disk
saved_runs     what there is of runs, seen from outside
saved_events   the events of a run
saved_logs     the logs of a run
up             a whole federation in one command
reaching       the controller of a run, or at an address
versions       the versions that a run has kept
processes      learners as child processes
serve          a controller on its own
leading        the federation of a run, by the process that leads it
"""
