"""Virtual learners on Ray: the same learners, with their work done by actors of a Ray cluster.

cluster    this process's one connection to Ray, counted
needs      what a learner at work needs of a node, and how many find room; pure
placement  which learner is on which host; pure
code       learners' code on its way to the hosts
host       an actor of Ray that works for many learners, one task at a time
errand     what a host is told and what it answers
hosts      the controller's side of them: made, lost, and made anew
versions   versions of the global model in Ray's object store, each put there once
desk       a learner's desk whose work a host does
learners   all learners of a federation on Ray

Only `[runtime] engine = "ray"` imports any of this; it needs the extra `ray`.
"""
