"""`Run.explore`: a widget where anywidget is installed, else a frame."""

import html
import importlib.util

from elbax.explore.explorer import page
from elbax.run.run import Run


def test_the_widget_holds_the_page(finished_run):
    run = Run(finished_run)
    widget = run.explore(height=500)
    assert widget.page == page(run)
    assert widget.height == 500
    assert widget.state == {}
    synchronised = {name for name, trait in widget.traits().items() if trait.metadata.get("sync")}
    assert {"page", "height", "state"} <= synchronised
    assert "srcdoc" in widget._esm
    assert "application/vnd.jupyter.widget-view+json" in widget._repr_mimebundle_()[0]


def test_without_anywidget_it_is_a_frame(finished_run, monkeypatch):
    find = importlib.util.find_spec

    def nowhere(name, *more):
        return None if name == "anywidget" else find(name, *more)

    monkeypatch.setattr(importlib.util, "find_spec", nowhere)
    run = Run(finished_run)
    shown = run.explore()._repr_html_()
    head, _, rest = shown.partition('srcdoc="')
    text, _, style = rest.partition('" style=')
    assert head == '<iframe title="explorer" '
    assert html.unescape(text) == page(run)
    assert "height: 720px" in style
