"""RLDS in and out; knows no learner and no domain."""
