"""XML, read as a stream by a parser that follows no entity and no reference to elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from xml.sax import SAXException
from xml.sax.handler import ContentHandler
from xml.sax.xmlreader import AttributesImpl

from wsiseg.errors import InputRefusedError

LARGEST_BYTES = 2_000_000_000
DEEPEST = 64


def read_xml(path: Path, start: Callable[[str, dict[str, str]], None], end: Callable[[str], None]) -> None:
    """Call `start(tag, attributes)` and `end(tag)` for every element, in the file's order.

    Raises InputRefusedError for damaged XML, and for a document type, entities or deep nesting, which
    no annotation program writes.
    """
    import defusedxml
    import defusedxml.sax

    if path.stat().st_size > LARGEST_BYTES:
        raise InputRefusedError(f"annotation {path.name}: more than {LARGEST_BYTES // 10**6} MB: split it")
    try:
        defusedxml.sax.parse(str(path), _Handler(start, end), forbid_dtd=True)
    except defusedxml.DefusedXmlException as error:
        raise InputRefusedError(
            f"annotation {path.name}: has a document type or entities, which annotations never need: refused"
        ) from error
    except (SAXException, OSError, ValueError, _TooDeepError) as error:
        reason = error.getMessage() if isinstance(error, SAXException) else str(error)
        raise InputRefusedError(f"annotation {path.name}: cannot be read as XML: {reason}") from error


class _TooDeepError(Exception):
    pass


class _Handler(ContentHandler):
    def __init__(self, start: Callable[[str, dict[str, str]], None], end: Callable[[str], None]) -> None:
        super().__init__()
        self._start = start
        self._end = end
        self._depth = 0

    def startElement(self, name: str, attrs: AttributesImpl) -> None:  # noqa: N802 - SAX's own name
        self._depth += 1
        if self._depth > DEEPEST:
            raise _TooDeepError(f"elements nested more than {DEEPEST} deep")
        self._start(name, dict(attrs.items()))

    def endElement(self, name: str) -> None:  # noqa: N802
        self._depth -= 1
        self._end(name)


def number(attributes: dict[str, str], key: str, path: Path) -> float:
    """Return an attribute as a number; InputRefusedError where it is absent or none."""
    text = attributes.get(key, "")
    try:
        return float(text)
    except ValueError as error:
        raise InputRefusedError(
            f"annotation {path.name}: {key} is {text[:40]!r}: expected a number with a decimal point"
        ) from error
