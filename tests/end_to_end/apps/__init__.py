"""Apps that tests run under real servers."""
