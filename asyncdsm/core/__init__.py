"""Measuring: pathways, checkpoints and buckets. No I/O, and no client of any broker."""
