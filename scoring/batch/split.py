"""Into how many tasks a job is split: the same where a command starts it and where a schedule does."""

# What opening a file costs, in bytes that could be read meanwhile: many small files are work, too.
_FILE_BYTES = 256 * 1024


def task_count(total_bytes: int, files: int, task_bytes: int, most: int) -> int:
    """Return how many tasks score an input.

    Args:
        total_bytes: The size of all its files.
        files: How many they are.
        task_bytes: What one task is to have.
        most: How many there may be.
    """
    wanted = -(-(total_bytes + files * _FILE_BYTES) // task_bytes)
    return max(1, min(wanted, most))
