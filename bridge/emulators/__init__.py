"""Stand-ins for the two peers of the bridge: a Lightning to talk to, and a caller to be called by.

They ship with the bridge, because the demo, the tests and the benchmarks all run on them. Nothing that serves
a real call imports from here.
"""
