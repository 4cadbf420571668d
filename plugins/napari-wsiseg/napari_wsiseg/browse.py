"""Fields with a button that opens a dialogue for files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QLineEdit, QPushButton, QWidget


def with_browse(field: QWidget, browse: Callable[[Any], None]) -> QWidget:
    """Return a field and, beside it, the button that fills it."""
    row = QWidget()
    layout = QHBoxLayout(row)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.addWidget(field, 1)
    button = QPushButton("…")
    button.setMaximumWidth(30)
    button.clicked.connect(lambda: browse(field))
    layout.addWidget(button)
    return row


def browse_model(field: QComboBox) -> None:
    """Let a model file be chosen."""
    path, _ = QFileDialog.getOpenFileName(field, "Model", "", "Models (*.safetensors)")
    if path:
        field.setCurrentText(path)


def browse_folder(field: QLineEdit) -> None:
    """Let a folder be chosen."""
    path = QFileDialog.getExistingDirectory(field, "Folder", field.text())
    if path:
        field.setText(path)
