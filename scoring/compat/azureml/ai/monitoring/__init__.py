"""Collecting a model's inputs and outputs, as scripts written for azureml-ai-monitoring do it."""

from .collector import Collector

__all__ = ["Collector"]
