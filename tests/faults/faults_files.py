"""What a result is made of."""


def files_of(folder):
    """Relative path to content of every file of a result but its summary, which tells the time."""
    return {
        item.relative_to(folder).as_posix(): item.read_bytes()
        for item in folder.rglob("*")
        if item.is_file() and not item.name.endswith(".summary.json")
    }
