"""Makes the engine for this very device: pictures, calibration, build, gate, store."""
