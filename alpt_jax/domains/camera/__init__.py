"""A camera that turns, keys whose effects are seen: a world in which the best labels are known."""
