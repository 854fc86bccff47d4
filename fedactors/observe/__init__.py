"""What people see of a run, and what is written down of it.

logging     structured logs: key=value on a terminal, JSON lines in a file
board       what is known of a run from its events; pure
display     the board on a terminal, or plain lines
summary     the end of a run on a few lines
figures     how numbers are written for people
meter       what of a run is counted for monitoring; pure
exposition  it as Prometheus reads it
account     what came of a run; pure
tables      it in tables
chart, page charts and the frame of a page that is one file
report      a report, as a page, as Markdown or as CSV
comparison  runs side by side
difference  how far apart two models are
scalars     a run's figures as curves; pure
tensorboard, mlflow  curves, and what else those keep of a run
spans       where the time of rounds went, as intervals; pure
tracing     spans as OpenTelemetry has them
aside       writing to a place that may be slow or away
"""
