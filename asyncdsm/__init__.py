"""asyncdsm."""
