"""What scripts import from inference-schema: the types of run()'s parameters and of its answer."""
