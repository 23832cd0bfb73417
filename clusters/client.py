"""The library's client of a cluster, by a kubeconfig's path or its content."""

from __future__ import annotations

from typing import Any


class ClusterError(Exception):
    """A kubeconfig does not lead to a cluster; its text is for people, and without the kubeconfig's content."""


def client_from(kubeconfig: str, context: str | None) -> Any:
    """Return a client; nothing is asked yet.

    Args:
        kubeconfig: A file's path, or the content.
        context: The kubeconfig's context; None for its current one.

    Raises:
        ClusterError: It leads to no cluster.
    """
    # Importing it takes longer than most commands run.
    import yaml  # noqa: PLC0415 - see above
    from kubernetes import config  # noqa: PLC0415 - as above

    is_content = "\n" in kubeconfig
    try:
        if is_content:
            content = yaml.safe_load(kubeconfig)
            return config.new_client_from_config_dict(content, context=context)  # type: ignore[no-untyped-call]
        return config.new_client_from_config(kubeconfig, context=context)  # type: ignore[no-untyped-call]
    except (config.ConfigException, yaml.YAMLError, OSError, TypeError) as error:
        # Not the content, which holds credentials.
        what = "the kubeconfig of the stack's state" if is_content else kubeconfig
        first = str(error).splitlines()[0][:200] if str(error) else ""
        raise ClusterError(f"{what} does not lead to a cluster: {type(error).__name__}: {first}") from None
