"""The local agent: accepts what tracers send to a Datadog Agent, and shows it. Needs the extra `agent`.

`intake` reads and checks payloads, `store` merges and keeps them, `queries` answers questions about them, `http` serves
the API and the page, `page` is what runs in the browser.
"""
