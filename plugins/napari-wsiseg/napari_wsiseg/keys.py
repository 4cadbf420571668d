"""Keys of the window: overlay on and off, its opacity, the next class; correcting and comparing."""

from __future__ import annotations

from typing import Any

from napari_wsiseg.layers import label_layers

STEP = 0.1
KEYS = {
    "Shift-O": "show or hide the overlay",
    "Shift-Up": "more opaque",
    "Shift-Down": "less opaque",
    "Shift-N": "go to the next class",
    "Shift-C": "correct what is in view: a frame to paint in",
    "Shift-S": "save the corrections",
    "Shift-Z": "take the last save back",
    "Shift-D": "go to the next difference of the two that are compared",
}


def bind_keys(viewer: Any) -> None:
    """Bind the keys in KEYS to a window."""
    viewer.bind_key("Shift-O", toggle, overwrite=True)
    viewer.bind_key("Shift-Up", lambda window: fade(window, STEP), overwrite=True)
    viewer.bind_key("Shift-Down", lambda window: fade(window, -STEP), overwrite=True)
    viewer.bind_key("Shift-N", next_class, overwrite=True)
    viewer.bind_key("Shift-C", correct, overwrite=True)
    viewer.bind_key("Shift-S", save_corrections, overwrite=True)
    viewer.bind_key("Shift-Z", undo_save, overwrite=True)
    viewer.bind_key("Shift-D", next_difference, overwrite=True)


def toggle(viewer: Any) -> None:
    """Show or hide the uppermost overlay."""
    for layer in label_layers(viewer)[-1:]:
        layer.visible = not layer.visible


def fade(viewer: Any, step: float) -> None:
    """Change the opacity of the uppermost overlay."""
    for layer in label_layers(viewer)[-1:]:
        layer.opacity = min(1.0, max(0.0, layer.opacity + step))


def next_class(viewer: Any) -> None:
    """Go to the largest area of the next class that occurs in the uppermost overlay."""
    from napari_wsiseg.layers import shown_by
    from napari_wsiseg.legend import jump_to

    for layer in label_layers(viewer)[-1:]:
        ids = [item.id for item in shown_by(layer).classes.classes]
        begin = ids.index(layer.selected_label) + 1 if layer.selected_label in ids else 0
        for label in ids[begin:] + ids[:begin]:
            layer.selected_label = label
            if jump_to(viewer, layer, label):
                return


def correct(viewer: Any) -> None:
    """Paint on what is in view."""
    correcting = _correcting(viewer)
    correcting.attempt(correcting.paint_here)


def save_corrections(viewer: Any) -> None:
    """Save what is painted."""
    correcting = _correcting(viewer)
    correcting.attempt(correcting.save)


def undo_save(viewer: Any) -> None:
    """Take the last save of corrections back."""
    correcting = _correcting(viewer)
    correcting.attempt(correcting.undo)


def next_difference(viewer: Any) -> None:
    """Go to the next place where the two that are compared differ."""
    from napari_wsiseg.comparing import comparing_of

    comparing_of(viewer).next_difference()


def _correcting(viewer: Any) -> Any:
    from napari_wsiseg.correcting import correcting_of

    return correcting_of(viewer)
