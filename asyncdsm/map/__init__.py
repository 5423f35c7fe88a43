"""The map outside a browser, for `asyncdsm map` and `asyncdsm top`. Needs the extra `agent`.

`topology` describes what an agent answers, `graph` makes nodes and links of it, `layout` places them. `text`, `dot`,
`mermaid` and `svg` write the map, `terminal` draws it as a table. `levels` decides the colors, `descriptions` and
`strings` the words.
"""
