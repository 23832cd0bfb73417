"""Which source a model's URL stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry.errors import RegistryError

if TYPE_CHECKING:
    from registry.source import Source


def open_source(url: str) -> Source:
    """Return the source of a URL.

    Args:
        url: As the manifest takes it; see `manifest.fields.SourceUrl`.

    Raises:
        RegistryError: There is no such kind of source, or a package is missing.
    """
    scheme = url.partition(":")[0]
    if scheme == "https":
        from registry.https import HttpsSource  # noqa: PLC0415 - each kind loads packages that the others do not need

        return HttpsSource(url)
    if scheme in {"s3", "az", "abfs", "abfss"}:
        from registry.objects import ObjectSource  # noqa: PLC0415 - as above

        return ObjectSource(url)
    if scheme == "mlflow":
        from registry.mlflow import mlflow_source  # noqa: PLC0415 - as above

        return mlflow_source(url)
    if scheme == "azureml":
        from registry.azureml import azureml_source  # noqa: PLC0415 - as above

        return azureml_source(url)
    raise RegistryError(
        f"{url} is no source: it may begin with https://, s3://, az://, abfs://, mlflow:models:/ or azureml:"
    )
