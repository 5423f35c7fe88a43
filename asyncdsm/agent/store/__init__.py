"""What the agent keeps: histograms and offsets over time, in a file or in memory."""
