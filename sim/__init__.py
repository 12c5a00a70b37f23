"""An independent truth: the simulated beamline as records driven by physics."""
