import pytest

from wsiseg.errors import UsageError
from wsiseg.pyramid import journal as home
from wsiseg.pyramid.journal import Journal


def test_finish_removes_the_folder_before_the_lock_is_free(tmp_path, monkeypatch):
    """Else it would remove the folder of a process that took the lock in between."""
    journal = Journal(tmp_path / "work", tmp_path / "out")
    journal.begin({"record": {}})
    held = []
    remove = home.shutil.rmtree

    def watched(folder, **options):
        held.append(journal._lock.is_locked)
        remove(folder, **options)

    monkeypatch.setattr(home.shutil, "rmtree", watched)
    journal.finish()
    assert held[0]
    assert not (tmp_path / "work").exists()


def test_a_lock_whose_file_is_gone_keeps_nobody_out_and_is_refused(tmp_path, monkeypatch):
    acquire = home.FileLock.acquire

    def overtaken(self, *arguments, **options):
        taken = acquire(self, *arguments, **options)
        (tmp_path / "work" / "lock").unlink()
        return taken

    monkeypatch.setattr(home.FileLock, "acquire", overtaken)
    with pytest.raises(UsageError, match="another process"):
        Journal(tmp_path / "work", tmp_path / "out")


@pytest.mark.parametrize("line", [b"[" * 100_000 + b"\n", b"\xff\n", b'"text"\n', b'{"task"'])
def test_a_line_that_is_none_of_ours_ends_the_journal(tmp_path, line):
    journal = Journal(tmp_path / "work", tmp_path / "out")
    journal.begin({"record": {"format": 1}})
    journal.done("label/0/0/0", bytes=1)
    journal.close()
    path = tmp_path / "work" / "journal.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + line)
    again = Journal(tmp_path / "work", tmp_path / "out")
    again.close()
    assert list(again.tasks) == ["label/0/0/0"]
    assert path.read_bytes() == whole
