"""The exit codes of the command."""

DONE = 0
FAILED = 1
WRONG_CALL = 2
INTERRUPTED = 130

MEANING = (
    "Exit codes: 0 done; 1 the job failed, or a file or network has the problems that it was "
    "looked at for; 2 the call was wrong; 130 interrupted by Ctrl-C."
)
