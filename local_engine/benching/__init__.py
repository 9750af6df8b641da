"""The benchmark of the CSM engine: what `python -m local_engine.bench` measures, and how."""
