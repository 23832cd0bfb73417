"""`azureml.contrib`: what is here, and what is installed under the same name."""

__path__ = __import__("pkgutil").extend_path(__path__, __name__)
