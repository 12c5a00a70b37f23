"""What the hardware of a transmission X-ray microscope is, as ophyd devices over process variables."""
