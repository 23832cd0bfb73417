"""What scripts import from azureml-inference-server-http."""
