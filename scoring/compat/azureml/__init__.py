"""`azureml`: what is here, and beside it what azureml-core and its like install under the same name."""

# A namespace package would be passed over for the regular one of azureml-core or azureml-ai-monitoring.
__path__ = __import__("pkgutil").extend_path(__path__, __name__)
