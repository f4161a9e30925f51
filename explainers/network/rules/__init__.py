"""Backward rules: the only place that changes how a gradient flows, by function and for one thread."""
