"""What all panels share: a form, a calculation beside the window, its layers and its words."""

import inspect
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any

import napari
from magicgui.widgets import (
    ComboBox,
    Container,
    ProgressBar,
    PushButton,
    Select,
    TextEdit,
    create_widget,
)
from napari.layers import Image, Layer
from napari.utils.notifications import notification_manager
from superqt.utils import create_worker

from stm_experiments.core.texts import printable
from stm_experiments.viewer.layers import scan_of
from stm_experiments.viewer.warnings import show_warnings

Choices = {"scan": ComboBox, "scans": Select}  # arguments that are image layers of the viewer
Words = Sequence[str]
LOWEST = 60  # px, height of the words


class Stopped(Exception):
    """The user cancelled the calculation."""


class Panel:
    """A form whose values go to a function in another thread, so that the window never waits.

    Args:
        work: Computes a result. Its arguments are the form, with their defaults: ``scan``, and
            perhaps ``scans``, are chosen among the image layers; ``progress`` is not in the form.
        show: Called in the window's thread with the viewer, the name of the chosen layer and the
            result; shows the result, and returns sentences about it.
        live: Whether each change of the form starts the work, instead of a button.
        take: Makes what ``work`` receives of a chosen layer.
        more: Called before the work; returns further arguments of it.
        options: Of the widgets of the form, by argument.

    Attributes:
        viewer: The window.
        container: The dock widget, with its parts by name: ``form``, whose parts have the names of
            the arguments, ``run``, ``cancel``, ``bar`` and ``words``.
    """

    def __init__(
        self,
        work: Callable[..., Any],
        show: Callable[[Any, str, Any], Words],
        *,
        live: bool = False,
        take: Callable[[Layer], Any] = scan_of,
        more: Callable[[], Mapping[str, Any]] = dict,
        **options: dict[str, Any],
    ) -> None:
        self.viewer = napari.current_viewer()
        self.work, self.show, self.live, self.take, self.more = work, show, live, take, more
        self.form = Container(name="form", widgets=list(_fields(work, options)), labels=True)
        self.run = PushButton(name="run", text="Run", visible=not live)
        self.cancel = PushButton(name="cancel", text="Cancel", visible=not live, enabled=False)
        self.bar = ProgressBar(name="bar", visible=False)
        self.words = TextEdit(name="words")
        self.words.native.setReadOnly(True)
        self.words.native.setMinimumHeight(LOWEST)
        parts = [self.form, self.run, self.cancel, self.bar, self.words]
        self.container = Container(widgets=parts, labels=False)
        self.worker: Any = None
        self.is_stale = False
        # Functions of their own hold this object, which nothing else does.
        self.run.changed.connect(lambda: self.start())
        self.cancel.changed.connect(lambda: self.stop())
        if live:
            self.form.changed.connect(lambda: self.start())
            self.container.native_parent_changed.connect(lambda: self.start())  # docked

    def start(self) -> None:
        """Begin the work with the values of the form; again at its end if it is under way.

        A panel that was closed does nothing.
        """
        if self.container.native.parent() is None:
            return
        if self.worker is not None:
            self.is_stale = True
            return
        self.is_stale = False
        try:
            name, values = self.arguments()
        except ValueError as error:
            self.say([str(error)])
            return
        self.bar.max = 0  # moves without an end in sight
        self.worker = create_worker(self._work, values, _ignore_errors=True)
        self.worker.yielded.connect(self._move)
        self.worker.returned.connect(lambda result: self._finish(name, result))
        self.worker.errored.connect(self._fail)
        self.worker.finished.connect(self._end)
        self.run.enabled, self.cancel.enabled, self.bar.visible = False, True, not self.live
        self.worker.start()

    def stop(self) -> None:
        """Cancel the work; it ends at its next step, and its result is dropped."""
        if self.worker is not None:
            self.worker.quit()
            self.say(["cancelled"])

    def say(self, sentences: Words) -> None:
        """Show sentences below the form."""
        self.words.value = "\n".join(printable(sentence) for sentence in sentences)

    def arguments(self) -> tuple[str, dict[str, Any]]:
        """Return the name of the chosen layer, and the arguments of the work.

        Raises:
            ValueError: If no layer is chosen, or one cannot be used.
        """
        values = {field.name: field.value for field in self.form} | dict(self.more())
        layer = values["scan"]
        if layer is None:
            raise ValueError("there is no image: drop a scan on the window")
        values["scan"] = self.take(layer)
        if "scans" in values:
            values["scans"] = [self.take(other) for other in values["scans"] if other is not layer]
        return layer.name, values

    def _work(self, values: dict[str, Any]) -> Generator[tuple[int, int], None, Any]:
        """Do the work in its thread; what it reports moves the bar."""
        worker = self.worker

        def report(done: int, total: int) -> None:
            if worker.abort_requested:
                raise Stopped
            worker.yielded.emit((done, total))

        yield 0, 0
        if "progress" in inspect.signature(self.work).parameters:
            values["progress"] = report
        return self.work(**values)

    def _move(self, progress: tuple[int, int]) -> None:
        self.bar.max, self.bar.value = progress[1], progress[0]

    def _finish(self, name: str, result: Any) -> None:
        with show_warnings():
            self.say(self.show(self.viewer, name, result))

    def _fail(self, error: Exception) -> None:
        """Say in one sentence what went wrong."""
        if isinstance(error, Stopped):
            return
        self.say([str(error)])
        if not isinstance(error, ValueError | OSError):  # a fault of the program
            notification_manager.receive_error(type(error), error, error.__traceback__)

    def _end(self) -> None:
        self.worker = None
        self.run.enabled, self.cancel.enabled, self.bar.visible = True, False, False
        if self.is_stale:
            self.start()


def _fields(work: Callable[..., Any], options: Mapping[str, dict[str, Any]]) -> Iterator[Any]:
    """Return a widget for each argument of a function that has one."""
    for name, parameter in inspect.signature(work).parameters.items():
        given = options.get(name, {})
        if name in Choices:
            yield Choices[name](name=name, choices=_images, **given)
        elif name in options or parameter.default is not parameter.empty:
            default = parameter.default
            yield create_widget(default, parameter.annotation, name=name, **_split(given))


def _split(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a widget as ``create_widget`` takes them."""
    label = {"label": options["label"]} if "label" in options else {}
    return label | {"options": {key: value for key, value in options.items() if key != "label"}}


def _images(_: Any) -> list[Layer]:
    """Return the images in the window, the uppermost first."""
    viewer = napari.current_viewer()
    layers = [] if viewer is None else reversed(viewer.layers)
    return [layer for layer in layers if isinstance(layer, Image)]
