"""The local agent: takes what tracers send to a Datadog Agent, and shows it. Extra `agent`.

`intake` reads and checks, `store` merges and keeps, `topology` says what it means, `app` speaks HTTP, `table` draws,
`serve` runs it.
"""
