"""Programs that send and receive through two libraries that asyncdsm follows, one standing on the other.

Each sends `COUNT` messages while `SENDER` is current, receives them, and returns what was seen with each message: the
pathway that was current where the program handled it, and the context that the message brought.
"""
