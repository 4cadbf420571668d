"""The command line: one file per verb, imported only when that verb is asked for."""

from __future__ import annotations

import sys
from importlib import import_module

import click
import typer
from typer.core import TyperGroup

from wsiseg.errors import WsisegError

VERBS = {
    "predict": "Turn slides into tissue label pyramids.",
    "info": "Say what wsiseg sees in a slide or a result.",
    "demo": "Generate a phantom slide, predict it, and say where the picture is.",
    "models": "List, check, import and export networks.",
}


class _LazyVerbs(TyperGroup):
    """Knows every verb's name and summary without importing it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        verb = import_module(f"wsiseg.cli.{cmd_name}")
        command: click.Command = typer.main.get_command(verb.app)
        command.name = cmd_name
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))
