"""The explorer in a notebook: a widget, or a frame where no widgets are installed."""

from __future__ import annotations

import dataclasses
import html
import importlib.util
import pkgutil
from typing import Any

from elbax.explore.explorer import page
from elbax.run.run import Run


@dataclasses.dataclass(frozen=True)
class Frame:
    """A page inside a notebook's, as HTML alone.

    Attributes:
        page: The page.
        height: In pixels.
    """

    page: str
    height: int

    def _repr_html_(self) -> str:
        return (
            f'<iframe title="explorer" srcdoc="{html.escape(self.page, quote=True)}" '
            f'style="width: 100%; height: {self.height}px; border: 0"></iframe>'
        )


def explore(run: Run, height: int) -> Any:
    """The explorer of a run; see `elbax.run.run.Run.explore`."""
    text = page(run)
    if importlib.util.find_spec("anywidget") is None:
        return Frame(text, height)
    import anywidget
    import traitlets

    class Explorer(anywidget.AnyWidget):
        """The page as a widget; `state` is what stands in it now."""

        _esm = (pkgutil.get_data("elbax.explore", "widget.js") or b"").decode()
        page = traitlets.Unicode(text).tag(sync=True)
        height = traitlets.Int(720).tag(sync=True)
        state = traitlets.Dict().tag(sync=True)

    return Explorer(height=height)
