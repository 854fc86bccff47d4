"""Many federations in one process, each as if it were alone.

files        the federations that a directory holds
beginning    a new run, or one to go on with
hosted       one federation: how it stands, and its run from beginning to end
federations  all of them: begun, added, stopped, ended
desk         what operators ask: list, add, stop; counter: where, and who may
"""
