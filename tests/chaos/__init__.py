"""Everything around a program fails in every way: its messages are all there, and so are ours, or they are counted."""
