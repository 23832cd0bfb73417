"""Jobs of models with a batch target."""
