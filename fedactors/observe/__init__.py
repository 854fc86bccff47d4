"""What people see of a run, and what is written down of it.

logging     structured logs: key=value on a terminal, JSON lines in a file
board       what is known of a run from its events; pure
display     the board on a terminal, or plain lines
summary     the end of a run on a few lines
figures     how numbers are written for people
difference  how far apart two models are
"""
