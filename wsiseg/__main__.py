"""`python -m wsiseg` is `wsiseg`."""

from wsiseg.cli.main import command

if __name__ == "__main__":
    command()
