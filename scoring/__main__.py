"""The image's entry point: `python -m scoring serve|edge|check|health|batch|batch-split`."""

import sys

_COMMANDS = {
    "serve": "answer requests over HTTP until SIGTERM",
    "edge": "be a module of Azure IoT Edge until SIGTERM, and answer over HTTP too",
    "check": "load the model and answer its sample once, as the last step of a build",
    "health": "tell by the exit code whether the service of this container is ready",
    "batch": "score files and rows, as --help tells",
    "batch-split": "add a job's tasks on Azure Batch, as its first one",
}


def main(arguments: list[str]) -> int:
    """Run one command.

    Args:
        arguments: What was given after the program's name.

    Returns:
        The exit code.
    """
    # Each command imports only what it needs: Docker starts `health` every few seconds.
    # ruff: noqa: PLC0415
    if arguments in (["serve"], ["edge"]):
        import signal

        # Process 1 of a container ignores a signal that nothing handles, and the imports take a moment.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        from scoring.serve import serve

        return serve(is_module=arguments == ["edge"])
    if arguments == ["check"]:
        from scoring.check import check

        return check()
    if arguments == ["health"]:
        from scoring.health import health

        return health()
    if arguments[:1] == ["batch"]:
        from scoring.batch import batch

        return batch(arguments[1:])
    if arguments == ["batch-split"]:
        from scoring.batch.azure import split

        return split()
    given = f"unknown command {' '.join(arguments)!r}" if arguments else "no command given"
    allowed = ", ".join(f"{name} ({purpose})" for name, purpose in _COMMANDS.items())
    print(f"python -m scoring: {given}; allowed: {allowed}", file=sys.stderr)  # noqa: T201 - a command line's answer
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
