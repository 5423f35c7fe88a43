"""What is read from the store for an answer: the topology, pathways, series and lag."""
