"""Rehearsals: a scripted caller talks to an agent without a carrier, and what happened is judged.

`script` reads the file, `cast` has its words spoken, `run` makes the call, `facts` gathers what happened, `judge` says
what was to be and was not, `junit` and `dialogue` tell it.
"""
