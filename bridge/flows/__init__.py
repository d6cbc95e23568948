"""Phone menus from files: what the steps are, whether they hold together, and what happens next.

Strategy:

- A flow is data (`model`), read from TOML with every mistake told by file, line and key (`reader`, `check`).
- What happens next is decided without a call, a clock or a socket: a `machine` yields what is to be done (`actions`)
  and is sent what came of it. The agent `bridge.agents.ivr` does it on a call, ``bridge flows try`` in a terminal.
- What calls use is an `Edition` of all files together (`library`). A new one is for new calls; a bad one is refused
  and the old one stays.
"""
