"""Texts that others wrote: safe for terminals and spreadsheets, and of bearable length."""

import difflib
import os
import sys
from collections.abc import Iterable
from io import BufferedWriter, FileIO, TextIOWrapper
from typing import Any


class OutlivingFile(FileIO):
    """A file of output whose reader, such as ``head``, may leave: what follows is dropped."""

    def write(self, data: Any, /) -> int:
        """Write bytes and return their number."""
        try:
            return super().write(data)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
            return super().write(data)


def prepare_output() -> None:
    r"""Let a command print to its end, whatever reads its output.

    A terminal that lacks a character, such as one of ASCII, gets its code (``\xb1``). A pipe that
    is closed does not end the command.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if isinstance(sys.stdout, TextIOWrapper) and sys.stdout is sys.__stdout__:
        sys.stdout.flush()
        file = BufferedWriter(OutlivingFile(sys.stdout.fileno(), "w", closefd=False))
        sys.stdout = TextIOWrapper(
            file,
            sys.stdout.encoding,
            "backslashreplace",
            line_buffering=sys.stdout.line_buffering,
        )


def printable(text: object) -> str:
    r"""Return a text without control characters: others than printable ones become ``\x1b``.

    Bytes of file names that are not UTF-8 become ``\xff``. Line breaks stay.
    """
    return "".join(c if c.isprintable() or c == "\n" else _escaped(c) for c in str(text))


def _escaped(character: str) -> str:
    """Return the code of a character as Python writes it."""
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that the file system's encoding does not know
        code -= 0xDC00
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def encodable(text: str) -> str:
    r"""Return a text that can be written as UTF-8: bytes that are not become ``\udcff``."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def spreadsheet_text(text: str) -> str:
    """Return the text of a CSV cell; an apostrophe goes before what a spreadsheet would run.

    A spreadsheet takes texts that begin with = + - @ for formulas. Numbers stay as they are.
    """
    text = encodable(text)
    if not text.lstrip().startswith(("=", "+", "-", "@")):
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text


def shortened(text: str, most: int) -> str:
    """Return a text of at most so many characters; of a longer one the start and its length."""
    if len(text) <= most:
        return text
    return f"{text[:most].rstrip()}... ({len(text)} characters)"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return " (did you mean 'size'?)" for the known word that is most like a misspelt one.

    It is empty if none is like it.
    """
    close = difflib.get_close_matches(word, list(known), 1)
    return f" (did you mean '{close[0]}'?)" if close else ""
