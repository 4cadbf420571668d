"""The progress bar on a terminal, and what Ctrl-C says."""

import io

import pytest
import typer
from rich.console import Console

from wsiseg.cli import predict, progress


def test_bar_is_drawn_before_and_after_the_total_is_known(monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr(
        progress, "Console", lambda stderr: Console(file=screen, force_terminal=True, width=100)
    )
    with progress.progress_bar("a [b].svs") as show:
        show(3_000_000, 12_000_000)
    assert "3/12 MP" in screen.getvalue()
    assert "a [b].svs" in screen.getvalue()


def test_ctrl_c_says_that_the_run_can_go_on(monkeypatch, capsys, tmp_path):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("wsiseg.pipeline.segment_slide", interrupted)
    with pytest.raises(typer.Exit) as ended:
        predict.predict_one("s.svs", tmp_path, None, show_progress=True)
    assert ended.value.exit_code == 130
    assert capsys.readouterr().err == "wsiseg: interrupted; the same command goes on from here\n"
