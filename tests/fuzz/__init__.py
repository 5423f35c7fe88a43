"""Every byte that comes from outside: the decoders under a coverage-guided fuzzer, and under hypothesis.

`targets` are the decoders, each with what must hold whatever it is given; `test_targets` tries them with every test
run, `python -m tests.fuzz` under atheris for as long as it is told to (`nox -s fuzz`), each in a process of `one`.
"""
