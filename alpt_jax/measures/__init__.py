"""Measures of labels, scores and curves: arrays in, numbers out; numpy and scipy only."""
