"""What asyncdsm costs, beside ddtrace: `python -m benchmarks [--json FILE] [--quick] [NAME…]`.

One module for each benchmark. Every contestant runs in processes of its own, in turn, round after round; nothing
here asserts a time.
"""
