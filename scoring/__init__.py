"""The scoring runtime: what runs inside a model's image. Imports neither Pulumi nor the manifest."""
