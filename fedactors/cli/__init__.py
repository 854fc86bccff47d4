"""The command line: `fedactors VERB ...`; one file for each verb, imported when it is called.

    check       read a configuration, build everything it names, start nothing
    new         a project that runs at once, to make your own of
    up          a whole federation: controller, learners and driver
    controller  the same federation from several terminals or machines,
    learner     one process
    driver      each
    relay       one learner to a parent, and a controller to others
    serve       many federations in one process
    federations what there is of them: listed, added, stopped
    runs        what there is of runs: how far they came, which can be resumed
    models      the versions that a run has kept: listed, fetched, compared
    keys        the key of a federation whose controller cannot read its models
    simulate    a federation in virtual time
    bench       how fast this machine decides and combines

Exit codes:

    0    done
    1    the federation failed
    2    the configuration or the command line is wrong
    3    an address cannot be reached or listened at, or denies access
    4    a learner's own code failed
    5    stopped by Ctrl-C or SIGTERM before its time; the round was ended cleanly and everything is saved
    70   a bug in fedactors
    130  Ctrl-C twice: stopped at once

`controller` and `learner` serve until they are told to stop: there, one Ctrl-C gives 0. An error is one line on stderr,
`error: ...`; `--debug` adds its traceback. Signals are handled here and nowhere else.
"""

from fedactors.cli.group import main

__all__ = ["main"]
