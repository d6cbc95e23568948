"""What turns the caller's voice into words.

`transcriber` is the interface; each other file here is one transcriber.
"""
