"""The command line: one file per command. Exit codes: 0 done, 2 wrong use, 1 failed, 130 on Ctrl-C."""
