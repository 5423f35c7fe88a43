"""The map outside of a browser: `asyncdsm map` and `asyncdsm top`. Extra `agent`.

`ask` gets the topology from an agent; `text`, `dot`, `mermaid` and `svg` write it, with `names` that are safe;
`command` and `top` are the programs.
"""
