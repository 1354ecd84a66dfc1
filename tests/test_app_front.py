"""The front without a browser: pictures kept and renewed, pages and their languages, whom it answers, and the pipeline app's address."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import Iterator
from html import unescape

import app_rows
import pytest
import typer
from app_rows import EARLIER, LATER, copied
from fastapi.testclient import TestClient
from test_app import words
from typer.testing import CliRunner

from salesml.apps import address, catalogue, frame, kernels, pipeline, proxy, serve, snapshots
from salesml.apps.address import Asked
from salesml.apps.catalogue import App
from salesml.apps.data import ALL_REGIONS
from salesml.apps.language import CODES, Language
from salesml.cli import apps as command
from salesml.errors import NotEnoughData
from salesml.lake import Lake
from salesml.workspace import Workspace

HOST = "http://127.0.0.1:8870"


class Drawer:
    """Draws pictures that say what was asked for and how often; the lake's state and the clock are set by hand."""

    def __init__(self, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
        self.drawn: list[tuple[str, str]] = []
        self.now, self.head = 1000.0, 1
        there = type("Lake", (), {"head": lambda _: type("Head", (), {"id": self.head})})
        monkeypatch.setattr(snapshots, "Lake", lambda _: there())
        self.kept = snapshots.Snapshots(workspace, {"one": self.draw}, clock=lambda: self.now)

    def draw(self, language: str, query: str) -> str:
        self.drawn.append((language, query))
        return f"{language} {query} of {self.head}"


@pytest.fixture
def drawer(workspace, monkeypatch) -> Drawer:
    return Drawer(workspace, monkeypatch)


def test_a_picture_is_drawn_once_per_language_query_and_state(drawer):
    for language, query in (("en", ""), ("de", ""), ("en", "?region=East"), ("en", ""), ("de", "")):
        assert drawer.kept.get("one", language, query).html == f"{language} {query} of 1"
    assert drawer.drawn == [("en", ""), ("de", ""), ("en", "?region=East")]
    assert drawer.kept.get("one", "en").tag != drawer.kept.get("one", "de").tag


def test_what_is_looked_at_is_renewed_and_nothing_else(drawer):
    drawer.kept.get("one", "en", "?region=East")
    drawer.kept.get("one", "en", "?region=West")
    drawer.now += snapshots.WATCHED_S + 1
    drawer.kept.get("one", "en", "?region=East")
    drawer.drawn.clear()
    assert drawer.kept.renew() == 1 and drawer.drawn == [("en", "")], "what visits begin with is there before the first"
    assert drawer.kept.renew() == 0
    drawer.head = 2
    assert drawer.kept.get("one", "en", "?region=East").html == "en ?region=East of 1", "shown at once while it is renewed"
    drawer.drawn.clear()
    assert drawer.kept.renew() == 1 and drawer.drawn == [("en", "?region=East")]
    assert drawer.kept.get("one", "en", "?region=East").html == "en ?region=East of 2"
    drawer.now += snapshots.UNWATCHED_S + 1
    drawer.drawn.clear()
    assert drawer.kept.renew() == 1 and drawer.drawn == [("en", "")], "in a while also what visits begin with"
    assert drawer.kept.get("one", "en", "?region=West").html == "en ?region=West of 2", "nobody is shown what is long overtaken"


def test_pictures_do_not_grow_without_end(drawer, monkeypatch):
    monkeypatch.setattr(snapshots, "MOST", 3)
    for number in range(10):
        drawer.kept.get("one", "en", f"?n={number}")
    assert len(drawer.kept._kept) == 3
    drawer.drawn.clear()
    drawer.kept.get("one", "en", "?n=9")
    assert drawer.drawn == []


def picture(workspace: Workspace, language: Language, query: str) -> str:
    if "bad" in query:
        raise NotEnoughData("too few <deals>")
    return f'<div id="snapshot" class="app">{language.code} says {frame.escape(query)} <button data-deal="D1">D1</button></div>'


@pytest.fixture
def front(workspace) -> Iterator[TestClient]:
    apps = {"one": App(lambda language: language._("Forecast"), picture), "two": App(lambda _: "Two", picture, translated=False)}
    with TestClient(serve.create_app(workspace, None, apps=apps), base_url=HOST) as client:
        yield client


def test_a_page_is_whole_in_the_reader_s_language(front):
    page = front.get("/one?region=East&lang=de", headers={"accept-language": "fr"})
    assert page.status_code == 200 and '<html lang="de">' in page.text
    assert "de says ?region=East" in unescape(page.text)
    assert "<title>Prognose · workspace</title>" in page.text and "Arbeitsseite öffnen" in page.text
    links = re.findall(r'data-keep href="([^"]+)" lang="(\w\w)"', page.text)
    assert [(unescape(link), code) for link, code in links] == [(f"/one?region=East&lang={code}", code) for code in CODES]
    assert '<a href="/two?lang=de">' in page.text and '<a href="/one?lang=de" aria-current=page>' in page.text
    assert 'data-live="/live/voila/render/one.ipynb?region=East&amp;lang=de"' in page.text
    assert '<html lang="fr">' in front.get("/one", headers={"accept-language": "fr-CH, en;q=0.5"}).text
    assert re.search(r'<main id="screen"[^>]* lang=en>', front.get("/two?lang=de").text), "a screen in English says so"
    assert not re.search(r'<main id="screen"[^>]* lang=', page.text)


def test_a_page_is_not_sent_again_while_it_is_the_same(front):
    first = front.get("/one")
    assert front.get("/one", headers={"if-none-match": first.headers["etag"]}).status_code == 304
    assert front.get("/one?lang=es", headers={"if-none-match": first.headers["etag"]}).status_code == 200
    assert f'data-tag={first.headers["etag"]}' in first.text


def test_what_the_reader_can_mend_is_the_page(front):
    page = front.get("/one?bad=1")
    assert page.status_code == 200 and "too few &lt;deals&gt;" in page.text


def test_a_slow_picture_is_announced_and_comes(workspace, monkeypatch):
    import threading

    ready = threading.Event()

    def slow(*_: object) -> str:
        ready.wait(60)
        return '<div id="snapshot" class="app">at last</div>'

    monkeypatch.setattr(serve, "PATIENCE_S", 0.01)
    with TestClient(serve.create_app(workspace, None, apps={"one": App(lambda _: "One", slow)}), base_url=HOST) as client:
        page = client.get("/one?lang=de")
        assert "Die Zahlen werden zusammengestellt…" in page.text and 'data-tag=""' in page.text
        assert client.get("/one?lang=de", headers={"if-none-match": page.headers["etag"]}).status_code == 200
        ready.set()
        for _ in range(1000):
            page = client.get("/one?lang=de")
            if "at last" in page.text:
                break
        assert "at last" in page.text and 'data-tag=""' not in page.text


def test_only_pages_of_this_machine_are_answered(front):
    assert front.get("/one", headers={"host": "evil.example"}).status_code == 400
    assert front.get("/nothing").status_code == 404
    assert front.get("/one").headers["content-security-policy"].startswith("default-src 'none'")
    begin = front.get("/?lang=es", follow_redirects=False)
    assert begin.headers["location"] == "/one?lang=es"
    for path in ("/live/voila/render/one.ipynb", "/live/", "/live/voila/tree/"):
        assert front.get(path).status_code == 404, "snapshots alone"


def test_requests_of_other_sites_are_told_apart():
    own = {"host": "127.0.0.1:8870", "origin": "http://127.0.0.1:8870", "sec-fetch-site": "same-origin"}
    assert not proxy.foreign(own) and not proxy.foreign({"host": "127.0.0.1:8870"})
    others = [("origin", "http://evil.example"), ("origin", "null"), ("sec-fetch-site", "cross-site"), ("sec-fetch-site", "same-site")]
    for name, value in others:
        assert proxy.foreign({**own, name: value})


def test_a_live_page_gets_its_head():
    page = b'<html lang="en"><head><title>Old &amp; odd</title></head><body><!--front--><p>'
    made = proxy.with_head(page, "pt", "Novo \\1 & bom", "<header>é</header>").decode()
    assert made == '<html lang="pt"><head><title>Novo \\1 & bom</title></head><body><header>é</header><p>'


def test_every_app_has_its_notebook_and_a_title_in_every_language():
    from salesml.reporting import catalogue as notebooks

    for name, app in catalogue.APPS.items():
        assert (notebooks.folder() / "apps" / f"{name}.ipynb").exists()
        assert all(app.title(Language(code)) for code in CODES)


def test_the_command_becomes_the_front_of_the_workspace(workspace, monkeypatch):
    became: list[tuple[list[str], dict[str, str]]] = []
    monkeypatch.setattr(os, "execve", lambda path, arguments, environment: became.append((arguments, environment)))
    app = typer.Typer()

    @app.callback()
    def _root(context: typer.Context) -> None:
        context.obj = str(workspace.root)

    command.register(app)
    done = CliRunner().invoke(app, ["apps", "--port", "9001", "--idle", "60"], catch_exceptions=False)
    arguments, environment = became[0]
    assert arguments[1:3] == ["-m", "salesml.apps.serve"] and environment["SALESML_WORKSPACE"] == str(workspace.root)
    assert json.loads(arguments[3]) == {"port": 9001, "idle": 60, "warm": None, "most": 12}
    assert "http://127.0.0.1:9001/" in done.output


def test_the_front_serves_the_apps_on_this_machine_only(workspace, monkeypatch, tmp_path, capsys):
    served: list[tuple[object, dict]] = []
    monkeypatch.setattr(serve.uvicorn, "run", lambda front, **options: served.append((front, options)))
    monkeypatch.setenv("SALESML_WORKSPACE", str(workspace.root))
    monkeypatch.setattr(sys, "argv", ["serve", json.dumps({"port": 9001, "idle": 60, "warm": ["pipeline"], "most": 2})])
    assert serve.main() == 0
    front, options = served[0]
    assert (options["host"], options["port"]) == ("127.0.0.1", 9001) and front.state.behind.process is None
    monkeypatch.setattr(serve, "notebooks_folder", lambda: tmp_path)
    assert serve.main() == 2
    assert f"not all in this checkout: {', '.join(catalogue.APPS)}" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["serve", json.dumps({"port": 9001, "idle": 60, "warm": ["nope"], "most": 2})])
    assert serve.main() == 2 and "unknown app 'nope'; valid: " in capsys.readouterr().err


def test_a_kernel_that_waits_is_not_idle_and_the_oldest_gives_way(monkeypatch):
    ended: list[str] = []

    async def end(manager: kernels.Kernels, kernel_id: str) -> None:
        ended.append(kernel_id)
        del manager._kernels[kernel_id]

    async def begin(manager: kernels.Kernels, name: str) -> str:
        manager._kernels[name] = type("Kernel", (), {"last_activity": len(manager._kernels)})()
        return name

    for name, function in (("start_kernel", begin), ("shutdown_kernel", end), ("cull_kernel_if_idle", end)):
        monkeypatch.setattr(kernels.AsyncMappingKernelManager, name, function)

    async def story() -> None:
        manager = kernels.Kernels(most=2)
        waits = asyncio.get_running_loop().create_future()
        waits.set_result({"kernel_id": "warm"})
        manager._pools = {"pipeline.ipynb": [waits]}
        for name in ("warm", "first", "second"):
            await manager.start_kernel(name=name)
        assert ended == [], "a kernel that waits is not a reader's"
        await manager.start_kernel(name="third")
        assert ended == ["first"]
        for name in ("warm", "second"):
            await manager.cull_kernel_if_idle(name)
        assert ended == ["first", "second"]

    asyncio.run(story())


def test_a_form_keeps_what_it_does_not_show():
    filters = [address.choice("region", ["<East>"]), address.choice("screen", ["deals"])]
    made = frame.form({"region": ("Region", [("All", "all"), ("<East>", "<East>")])}, {"region": "<East>"}, filters, Language("fr"),
                      {"screen": "deals"})  # fmt: skip
    assert '<option value="">All</option><option value="&lt;East&gt;" selected>&lt;East&gt;</option>' in made
    assert '<input type="hidden" name="screen" value="deals">' in made and 'name="lang" value="fr"' in made
    assert frame.ignored(Asked({}), Language()) == ""
    assert "&lt;b&gt;" in frame.ignored(Asked({}, (("region", "<b>"),)), Language())


@pytest.fixture(scope="module")
def scored(tiny_workspace, tmp_path_factory) -> Workspace:
    made = copied(tiny_workspace, tmp_path_factory.mktemp("front"))
    for as_of in (EARLIER, LATER):
        app_rows.write(made, as_of)
    return made


@pytest.fixture
def told(scored, monkeypatch) -> tuple[pipeline.PipelineApp, list[str]]:
    """The pipeline app and the addresses it writes."""
    app = pipeline.PipelineApp(scored)
    written: list[str] = []
    monkeypatch.setattr(app.page, "send", lambda content: written.append(content["address"]) if "address" in content else None)
    return app, written


def test_choices_are_written_into_the_address(told):
    app, written = told
    app.region.value = "West"
    app.as_of.value = app.as_of.options[1][1]
    app.tabs.selected_index = 1
    app.region.value, app.as_of.value, app.tabs.selected_index = ALL_REGIONS, app.as_of.options[0][1], 0
    day = "&as_of=2026-05-06"
    assert written[:3] == ["?region=West", f"?region=West{day}", f"?region=West{day}&screen=deals"]
    assert written[-1] == "", "what is so by default is not said"


def test_an_address_is_shown_as_if_chosen_by_hand(told, scored):
    app, written = told
    app.page._hear(None, {"kind": "address", "query": "?region=West&as_of=2026-05-06&screen=deals&lang=de", "languages": "de"}, None)
    assert (app.region.value, app.tabs.selected_index, app.board.day) == ("West", 1, EARLIER)
    assert written == ["?region=West&as_of=2026-05-06&screen=deals&lang=de"] and app.note.value == ""
    other = pipeline.PipelineApp(scored, Language("de"))
    other.as_of.value = other.as_of.options[1][1]
    other.region.value = "West"
    assert (app.landing.value, app.list.value) == (other.landing.value, other.list.value)
    assert [name for name, _ in app.region.options] == [name for name, _ in other.region.options]


def test_an_address_leads_to_a_deal(told):
    app, written = told
    deal = app.board.deals["opportunity_id"].iloc[3]
    app.read(f"?screen=story&deal={deal}")
    assert (app.deal.value, app.tabs.selected_index) == (deal, 2) and written[-1] == f"?screen=story&deal={deal}"


def test_what_an_address_asks_in_vain_is_told_on_the_page(told):
    app, written = told
    app.read("?region=Atlantis&as_of=1999-01-01&deal=<b>")
    assert app.region.value == ALL_REGIONS and app.board.day == LATER and written == [""]
    assert "region=Atlantis, as_of=1999-01-01, deal=&lt;b&gt;" in app.note.value


@pytest.mark.parametrize("query", ["", "?region=West", "?region=West&as_of=2026-05-06&screen=deals"])
def test_the_picture_is_the_app_s_first_screen(scored, query):
    app = pipeline.PipelineApp(scored)
    app.read(query)
    shown = app.landing if app.tabs.selected_index == 0 else app.list
    app.read(f"{query}{'&' if query else '?'}lang=de")
    made = pipeline.picture(scored, Language("de"), query)
    assert words(shown.value) in words(made) and words(app.footing.value) in words(made)
    links = [unescape(link) for link in re.findall(r'class="live" href="([^"]+)"', made)]
    asked = address.read(query, [address.choice("region", ["West"])]).values
    assert all(f"region={asked['region']}" in link for link in links) if asked else links
    assert [re.search(r"screen=(\w+)", link)[1] for link in links] == list(pipeline.NAMED)
    assert all(link.endswith("&lang=de") or link.endswith("?lang=de") for link in links)


def test_the_picture_of_a_deal_s_story_and_of_nothing(scored, workspace):
    deal = Lake(scored).open().rows("opportunity").to_pandas()["opportunity_id"].iloc[-1]
    assert pipeline.picture(scored, Language(), f"?screen=story&deal={deal}")
    assert "salesml import NAME PATH" in pipeline.picture(workspace, Language(), "")
