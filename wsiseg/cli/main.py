"""The command line: one file per verb. A verb imports what is heavy when it runs, so help is instant."""

from __future__ import annotations

import io
import sys
import threading
import warnings

import typer

from wsiseg.cli import (
    batch,
    calibrate,
    compare,
    demo,
    evaluate,
    export,
    import_,
    info,
    models,
    predict,
    profile,
    report,
    status,
    train,
    view,
)
from wsiseg.cli.contained import contained
from wsiseg.errors import WsisegError
from wsiseg.shortage import shortage

OPENS_SLIDES = ("predict", "info", "import", "evaluate", "calibrate")

EPILOG = "Example: wsiseg predict slide.svs -o results. Not for diagnostic use."

app = typer.Typer(add_completion=False, no_args_is_help=True, epilog=EPILOG, pretty_exceptions_enable=False)
app.command("predict", epilog=predict.EPILOG)(predict.predict)
app.command("batch", epilog=batch.EPILOG)(batch.batch)
app.command("status", epilog=status.EPILOG)(status.status)
app.command("report", epilog=report.EPILOG)(report.report)
app.command("info", epilog=info.EPILOG)(info.info)
app.command("export", epilog=export.EPILOG)(export.export)
app.command("import", epilog=import_.EPILOG)(import_.import_)
app.command("compare", epilog=compare.EPILOG)(compare.compare)
app.command("demo", epilog=demo.EPILOG)(demo.demo)
app.command("view", epilog=view.EPILOG)(view.view)
app.command("evaluate", epilog=evaluate.EPILOG)(evaluate.evaluate)
app.command("train", epilog=train.EPILOG)(train.train)
app.command("calibrate", epilog=calibrate.EPILOG)(calibrate.calibrate)
app.add_typer(models.app, name="models", help="List, check, import and export networks.")
app.add_typer(profile.app, name="profile", help="Measure time, memory, power and kernels of networks.")


def _version(value: bool) -> None:
    if value:
        from wsiseg import __version__

        typer.echo(f"wsiseg {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """Whole-slide tissue segmentation: a gigapixel slide in, a tissue label pyramid out."""


def command() -> None:
    """Run the command line as a program: a verb that opens slides in a child process (see `contained`)."""
    verb = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
    if verb in OPENS_SLIDES and "--help" not in sys.argv:
        contained(_program)
    else:
        _program()


def _program() -> None:
    """Run the command line in a process of its own, which says no more once it has said why it ends."""
    try:
        main()
    except SystemExit as ended:
        if ended.code == 1:  # libraries complain, too, as they are taken down without memory or files
            sys.unraisablehook = lambda _: None
            threading.excepthook = lambda _: None
            warnings.simplefilter("ignore")
        raise


def main() -> None:
    """Run the command line. Errors that a user can cause end in one line and their own exit code.

    Ctrl-C (130) and a closed pipe (1) end quietly inside of typer.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that the console cannot show must not end a run
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except WsisegError as error:
        sys.stderr.write(f"wsiseg: {' '.join(str(error).split())}\n")
        sys.exit(error.exit_code)
    except Exception as error:
        lacking = shortage(error)
        if lacking is None and not isinstance(error, OSError):
            raise
        # An OSError of another kind: a full disk, a missing right, a vanished mount.
        said = lacking or f"{error}; once that is mended, the same command goes on from here"
        sys.stderr.write(f"wsiseg: {said}\n")
        sys.exit(1)


if __name__ == "__main__":
    command()
