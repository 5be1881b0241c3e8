"""Clients that know nothing of stamps: a web form, a ``PATCH`` with ``If-Match``, JSON over HTTP."""

from __future__ import annotations

import asyncio
import copy
import datetime as dt
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import httpx
import msgspec
import pytest
from starlette.applications import Starlette

from mergecore import add_wins, counter, keep_both
from mergecore.sync import Node, SuperNode

from .serving import serving

pytestmark = pytest.mark.sync


class Address(msgspec.Struct):
    """A record below."""

    street: str = ""
    city: str = ""


class Todo(msgspec.Struct, rename={"due_on": "dueOn"}):
    """A field of each kind; one has another name on the wire."""

    title: str
    owner: Annotated[str | None, keep_both] = None
    votes: Annotated[int, counter] = 0
    tags: Annotated[set[str], add_wins] = set()
    home: Address | None = None
    labels: dict[str, Any] = {}
    due_on: dt.date | None = None


class Note(msgspec.Struct):
    """Another model."""

    text: str = ""


MODELS: dict[str, Any] = {"todo": Todo, "note": Note}
START = 1_700_000_000_000


class Client:
    """Asks an app in this process."""

    def __init__(self, app: Starlette) -> None:
        self.app, self.headers = app, dict[str, str]()

    def request(self, method: str, path: str, *, headers: Any = None, **how: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
                return await client.request(method, path, headers={**self.headers, **(headers or {})}, **how)

        return asyncio.run(ask())

    def get(self, path: str, **how: Any) -> httpx.Response:
        return self.request("GET", path, **how)

    def post(self, path: str, **how: Any) -> httpx.Response:
        return self.request("POST", path, **how)

    def put(self, path: str, **how: Any) -> httpx.Response:
        return self.request("PUT", path, **how)

    def patch(self, path: str, **how: Any) -> httpx.Response:
        return self.request("PATCH", path, **how)


class Web:
    """A super node, and a client of its app."""

    def __init__(self, store: Path | str = ":memory:", models: Any = MODELS, **rights: Any) -> None:
        self.wall = START
        self.node = SuperNode("server", store, models=models, now=lambda: self.wall)
        self.client = Client(self.node.app)
        self.as_(self.node.add_node("web", **rights))

    def as_(self, token: str) -> Web:
        self.client.headers["Authorization"] = f"Bearer {token}"
        return self

    def make(self, **fields: Any) -> Seen:
        return Seen(self, self.answer("POST", "/records/todo", json={"title": "milk", **fields}, status=201))

    def look(self, guid: str) -> Seen:
        return Seen(self, self.answer("GET", f"/records/todo/{guid}"))

    def answer(self, method: str, path: str, status: int = 200, **how: Any) -> httpx.Response:
        answer = self.client.request(method, path, **how)
        assert answer.status_code == status, answer.text
        if status >= 400:
            told = answer.json()
            assert answer.headers["content-type"] == "application/problem+json"
            assert told["status"] == status and told["title"] and told["detail"]
        return answer


class Seen:
    """A screen that shows a record: what was on it, and its tag."""

    def __init__(self, web: Web, answer: httpx.Response) -> None:
        self.web, self.tag = web, answer.headers["ETag"]
        self.all: dict[str, Any] = answer.json()
        self.guid, self.record = self.all["guid"], self.all["record"]
        assert f'"{self.all["tag"]}"' == self.tag

    def send(self, method: str, data: Any = None, status: int = 200, path: str = "", **headers: str) -> httpx.Response:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        how: dict[str, Any] = {} if data is None else {"json": data}
        return self.web.answer(
            method, f"/records/todo/{self.guid}{path}", status, headers={"If-Match": self.tag, **names}, **how
        )

    def patch(self, status: int = 200, key: str | None = None, **fields: Any) -> Any:
        return self.send("PATCH", fields, status, **({"Idempotency_Key": key} if key else {})).json()


# ------------------------------------------------------------------------------------------- two clients of one record


def test_two_stale_clients_lose_nothing() -> None:
    """Both looked at one version; each writes other fields, one counter, one set, and the same field."""
    web = Web()
    one = web.make(votes=1, tags=["a"], labels={"x": 1})
    other = web.look(one.guid)
    one.patch(title="oat milk", votes=11, tags=["a", "b"], owner="ann", labels={"y": 2})
    other.patch(votes=101, tags=["c"], owner="bob", labels={"z": 3})
    end = web.look(one.guid)
    assert (end.record["title"], end.record["votes"], sorted(end.record["tags"])) == ("oat milk", 111, ["b", "c"])
    assert end.record["labels"] == {"x": 1, "y": 2, "z": 3}
    (conflict,) = end.all["conflicts"]
    assert conflict["path"] == "owner" and {c["value"] for c in conflict["candidates"]} == {"ann", "bob"}
    assert {c["by"] for c in conflict["candidates"]} == {"web"}


def test_a_stale_form_that_is_put_whole_writes_what_its_author_changed() -> None:
    """It reverts nobody, and what lost is listed."""
    web = Web()
    form = web.make(votes=1, tags=["a"])
    web.look(form.guid).patch(title="oat milk", votes=2)
    put = form.send("PUT", {**form.record, "owner": "bob"}).json()
    assert (put["record"]["title"], put["record"]["votes"], put["record"]["owner"]) == ("oat milk", 2, "bob")
    late = form.send("PUT", {**form.record, "title": "soy milk"}).json()
    shown = {late["record"]["title"], *(lost["value"] for lost in late["lost"])}
    assert shown == {"oat milk", "soy milk"}


def test_a_client_goes_on_from_each_answer() -> None:
    """The tag of an answer is what is to be handed back next."""
    web = Web()
    seen = web.make()
    for n in range(3):
        answer = seen.send("PATCH", {"title": str(n), "votes": n})
        seen = Seen(web, answer)
    assert (seen.record["title"], seen.record["votes"], seen.all["conflicts"], seen.all["lost"]) == ("2", 2, [], [])


def test_devices_and_web_clients_meet() -> None:
    """What a web client writes is an edit as any other."""
    web = Web()
    with Node("phone", ":memory:", models=MODELS, now=lambda: web.wall) as phone:
        guid = phone.insert(Todo("milk", votes=1))
        token = web.node.add_node("phone")
        phone.sync(web.node, token=token)
        form = web.look(guid)
        phone.edit(guid, title="of the phone", votes=11)
        phone.sync(web.node, token=token)
        form.patch(owner="ann", votes=101)
        phone.sync(web.node, token=token)
        assert phone.get(guid) == web.node.get(guid) == Todo("of the phone", "ann", 111)


# ------------------------------------------------------------------------------------------------------- preconditions


def test_a_base_is_kept_for_its_time_and_then_the_current_record_is_given() -> None:
    """412, with the record as it is and its tag, which can be written against at once."""
    web = Web()
    form = web.make(votes=1)
    web.look(form.guid).patch(title="oat milk")
    web.wall += 86_400_000 - 1
    form.patch(votes=2)
    web.wall += 2
    answer = form.send("PATCH", {"votes": 3}, status=412)
    told = answer.json()
    assert told["error"] == "PreconditionFailed"
    assert (told["current"]["record"]["title"], told["current"]["record"]["votes"]) == ("oat milk", 2)
    assert answer.headers["ETag"] == f'"{told["current"]["tag"]}"'
    form.tag = answer.headers["ETag"]
    web.wall += 1
    web.node.edit(form.guid, title="changed since")
    assert form.patch(votes=3)["record"]["votes"] == 3
    assert web.look(form.guid).record["title"] == "changed since"


def test_the_present_version_needs_no_kept_base() -> None:
    """However long ago it was looked at."""
    web = Web()
    form = web.make()
    web.wall += 400 * 86_400_000
    assert form.patch(title="late")["record"]["title"] == "late"


def test_a_tag_is_of_one_record_and_made_up_ones_are_unknown() -> None:
    """412 for the tag of another record, and for one that nobody was given."""
    web = Web()
    form, other = web.make(), web.make(title="other")
    for tag in (other.tag, '"made up"', '""'):
        form.tag = tag
        form.send("PATCH", {"title": "x"}, status=412)
    form.tag = "*"
    assert form.patch(title="whatever is there")["record"]["title"] == "whatever is there"
    form.tag = f"W/{web.look(form.guid).tag}"
    assert form.patch(title="weak")["record"]["title"] == "weak"


def test_a_write_without_a_tag_is_refused() -> None:
    """428: say what you were looking at."""
    web = Web()
    form = web.make()
    for method in ("PATCH", "PUT", "DELETE"):
        how = {} if method == "DELETE" else {"json": {"title": "x"}}
        assert "If-Match" in web.answer(method, f"/records/todo/{form.guid}", 428, **how).json()["detail"]
    web.answer("POST", f"/records/todo/{form.guid}/resolve", 428, json={})
    assert web.look(form.guid).record["title"] == "milk"


def test_what_is_not_there_and_what_was_deleted() -> None:
    """404, and 410 with what it was; a purged one is not there; a stale client may still write against a deletion."""
    web = Web()
    form, forms = web.make(), web.make(title="another")
    web.answer("GET", "/records/todo/none", 404)
    web.answer("GET", f"/records/note/{form.guid}", 404)
    for method in ("PATCH", "PUT", "DELETE"):
        how = {} if method == "DELETE" else {"json": {"title": "x"}}
        web.answer(method, "/records/todo/none", 404, headers={"If-Match": "*"}, **how)
    stale = web.look(form.guid)
    assert form.send("DELETE").json()["is_deleted"]
    told = web.answer("GET", f"/records/todo/{form.guid}", 410).json()
    assert told["current"]["is_deleted"] and told["current"]["record"]["title"] == "milk"
    now = f'"{told["current"]["tag"]}"'
    web.answer("PATCH", f"/records/todo/{form.guid}", 410, headers={"If-Match": now}, json={"title": "x"})
    late = stale.patch(title="I did not know")
    assert not late["is_deleted"] and [c["path"] for c in late["conflicts"]] == [""]
    forms.send("DELETE")
    web.node.purge(dt.timedelta(0))
    web.answer("GET", f"/records/todo/{forms.guid}", 404)


# ------------------------------------------------------------------------------------------ the writing


def test_null_in_a_patch_unsets_a_key_and_makes_a_field_none() -> None:
    """RFC 7396, of what has a model too: a field that cannot be None is refused; and below it as well."""
    web = Web()
    form = web.make(owner="ann", labels={"a": 1, "b": {"c": 1, "d": 2}}, home={"street": "Main", "city": "X"})
    first = form.patch(owner=None, labels={"a": None, "b": {"c": None}, "new": 3}, home={"city": "Y"})["record"]
    assert (first["owner"], first["labels"], first["home"]) == (
        None,
        {"b": {"d": 2}, "new": 3},
        {"street": "Main", "city": "Y"},
    )
    seen = web.look(form.guid)
    assert seen.patch(home=None)["record"]["home"] is None
    seen = web.look(form.guid)
    assert seen.patch(home={"street": "New"})["record"]["home"] == {"street": "New", "city": ""}
    told = seen.send("PATCH", {"title": None}, status=422).json()
    assert "title" in told["detail"]
    assert web.look(form.guid).record["title"] == "milk"


def test_null_in_a_document_without_a_model_takes_the_key_away() -> None:
    """And a nested one, too; what is absent stays absent."""
    web = Web(models={})
    made = web.answer("POST", "/records/doc", 201, json={"a": 1, "b": {"c": 1, "d": 2}, "e": None})
    tag, guid = made.headers["ETag"], made.json()["guid"]
    answer = web.answer(
        "PATCH",
        f"/records/doc/{guid}",
        headers={"If-Match": tag},
        json={"a": None, "b": {"c": None}, "f": {"g": None}, "none": None},
    )
    record = answer.json()["record"]
    assert record["b"] == {"d": 2} and "a" not in record and "none" not in record and record["e"] is None
    assert record.get("f") == {}, "RFC 7396: a patch's object is made, without its nulls"


def test_what_a_model_does_not_take_is_refused_and_nothing_is_stored() -> None:
    """422 with the field; 400 for what is no JSON, or no object."""
    web = Web()
    form = web.make()
    for data in ({"title": 7}, {"votes": "many"}, {"tags": "a"}, {"home": {"street": 1}}, {"dueOn": "soon"}):
        told = form.send("PATCH", data, status=422).json()
        assert next(iter(data)) in told["detail"]
    web.answer("POST", "/records/todo", 422, json={"owner": "ann"})
    form.send("PUT", {"owner": "ann"}, status=422)
    for bad in (b"{", b"", b"\xff", b'"text"', b"[1]"):
        answer = web.client.patch(f"/records/todo/{form.guid}", content=bad, headers={"If-Match": form.tag})
        assert answer.status_code in (400, 422), (bad, answer.text)
        answer = web.client.post("/records/todo", content=bad)
        assert answer.status_code in (400, 422), (bad, answer.text)
    assert len(web.node.all("todo")) == 1 and web.look(form.guid).tag == form.tag


def test_an_unknown_field_is_no_silent_loss() -> None:
    """What a model does not know is refused, or kept; a typing error is not swallowed."""
    web = Web()
    form = web.make()
    answer = web.client.patch(f"/records/todo/{form.guid}", json={"titel": "typo"}, headers={"If-Match": form.tag})
    assert answer.status_code == 422 or answer.json()["record"].get("titel") == "typo", answer.text


def test_fields_go_by_the_names_on_the_wire() -> None:
    """As the model encodes them, in records, patches and conflicts."""
    web = Web()
    form = web.make(dueOn="2025-01-01")
    assert form.record["dueOn"] == "2025-01-01"
    other = web.look(form.guid)
    assert form.patch(dueOn="2025-02-02")["record"]["dueOn"] == "2025-02-02"
    web.wall += 1
    end = other.patch(dueOn="2025-03-03")
    assert [lost["path"] for lost in end["lost"]] == ["dueOn"]
    assert web.node.get(form.guid).due_on in (dt.date(2025, 2, 2), dt.date(2025, 3, 3))


def test_an_unchanged_record_is_not_sent_again() -> None:
    """``If-None-Match``: 304."""
    web = Web()
    form = web.make()
    same = web.client.get(f"/records/todo/{form.guid}", headers={"If-None-Match": form.tag})
    assert (same.status_code, same.content) == (304, b"")
    form.patch(title="x")
    assert web.client.get(f"/records/todo/{form.guid}", headers={"If-None-Match": form.tag}).status_code == 200


def test_a_new_record_says_where_it_is() -> None:
    """``Location``, which can be asked."""
    web = Web()
    made = web.answer("POST", "/records/todo", 201, json={"title": "milk"})
    assert made.headers["Location"] == f"/records/todo/{made.json()['guid']}"
    assert web.answer("GET", made.headers["Location"]).json() == made.json()


def test_a_deletion_is_taken_back() -> None:
    """By who deleted it, and by who finds it so: the answer says how; of a record that is there, 422."""
    web = Web()
    form = web.make(votes=1)
    form.send("POST", None, 422, "/restore")
    gone = Seen(web, form.send("DELETE"))
    for told in (
        web.answer("GET", f"/records/todo/{form.guid}", 410).json(),
        gone.send("PATCH", {"title": "x"}, 410).json(),
        gone.send("PUT", {"title": "x"}, 410).json(),
    ):
        assert f"POST /records/todo/{form.guid}/restore" in told["detail"]
    web.answer("POST", f"/records/todo/{form.guid}/restore", 428)
    back = gone.send("POST", None, 200, "/restore", Idempotency_Key="k").json()
    assert not back["is_deleted"] and back["record"] == form.record and back["conflicts"] == []
    assert gone.send("POST", None, 200, "/restore", Idempotency_Key="k").json() == back
    assert web.look(form.guid).all == back


def test_a_method_that_a_place_does_not_have_is_told_those_that_it_has() -> None:
    """405 with ``Allow``; what is nowhere is 404."""
    web = Web()
    form = web.make()
    for method, path, allowed in (
        ("PUT", "/records/todo", {"GET", "HEAD", "POST"}),
        ("POST", f"/records/todo/{form.guid}", {"GET", "HEAD", "PUT", "PATCH", "DELETE"}),
        ("GET", f"/records/todo/{form.guid}/restore", {"POST"}),
        ("DELETE", "/health", {"GET", "HEAD"}),
    ):
        answer = web.answer(method, path, 405)
        assert set(answer.headers["Allow"].split(", ")) == allowed
        assert answer.json()["title"] == "Method Not Allowed"
    web.answer("PUT", "/", 404)


# ------------------------------------------------------------------------------------------------- repeated requests


def test_a_repeated_request_is_applied_once() -> None:
    """With an idempotency key: a new record, a patch, a deletion, an answer; the answer is the same again."""
    web = Web()
    made = [web.client.post("/records/todo", json={"title": "a"}, headers={"Idempotency-Key": "1"}) for _ in range(3)]
    assert [m.status_code for m in made] == [201] * 3 and len({m.text for m in made}) == 1
    assert len(web.node.all("todo")) == 1
    form = web.look(made[0].json()["guid"])
    patched = [form.patch(votes=5, key="2") for _ in range(3)]
    assert all(p == patched[0] for p in patched) and web.look(form.guid).record["votes"] == 5
    assert web.look(form.guid).patch(votes=7, key="3")["record"]["votes"] == 7
    assert form.patch(votes=5, key="2") == patched[0]  # also after others have written
    assert web.look(form.guid).record["votes"] == 7
    gone = [
        web.look(form.guid).send("DELETE", Idempotency_Key="4") if n == 0 else form.send("DELETE", Idempotency_Key="4")
        for n in range(2)
    ]
    assert [g.json()["is_deleted"] for g in gone] == [True, True]
    assert sum(c.paths == ((),) for c in web.node.version(form.guid).commits) == 1


def test_a_key_is_of_one_client_one_method_and_one_place() -> None:
    """Two clients may use the same one, and so may two requests of another kind."""
    web = Web()
    other = web.node.add_node("other")
    first = web.client.post("/records/todo", json={"title": "a"}, headers={"Idempotency-Key": "k"})
    second = web.client.post(
        "/records/todo", json={"title": "b"}, headers={"Idempotency-Key": "k", "Authorization": f"Bearer {other}"}
    )
    note = web.client.post("/records/note", json={"text": "c"}, headers={"Idempotency-Key": "k"})
    assert len({answer.json()["guid"] for answer in (first, second, note)}) == 3
    for key in ("", "x" * 201):
        assert (
            web.client.post("/records/todo", json={"title": "a"}, headers={"Idempotency-Key": key}).status_code == 400
        )


def test_a_key_is_forgotten_after_its_time() -> None:
    """As bases are; then the same request is another one."""
    web = Web()
    guids = set()
    for later in (0, 86_400_000 - 2, 4):
        web.wall += later
        guids.add(
            web.client.post("/records/todo", json={"title": "a"}, headers={"Idempotency-Key": "k"}).json()["guid"]
        )
    assert len(guids) == 2


def test_a_failed_request_may_be_mended_under_its_key() -> None:
    """What was refused was not done."""
    web = Web()
    bad = web.client.post("/records/todo", json={"title": 1}, headers={"Idempotency-Key": "k"})
    good = web.client.post("/records/todo", json={"title": "a"}, headers={"Idempotency-Key": "k"})
    assert (bad.status_code, good.status_code) == (422, 201)


def test_a_request_that_is_repeated_at_the_same_time_is_applied_once(tmp_path: Path) -> None:
    """Eight threads send the same request over real connections."""
    node = SuperNode("server", tmp_path / "server.db", models=MODELS)
    headers = {"Authorization": f"Bearer {node.add_node('web')}"}
    guid = node.insert(Todo("milk", votes=1))
    with serving(node.app) as url:
        tag = httpx.get(f"{url}/records/todo/{guid}", headers=headers).headers["ETag"]
        barrier, answers = threading.Barrier(8), list[tuple[str, str]]()

        def send(n: int) -> None:
            with httpx.Client(headers=headers, timeout=30) as client:
                barrier.wait()
                made = client.post(f"{url}/records/todo", json={"title": "new"}, headers={"Idempotency-Key": "new"})
                both = {"Idempotency-Key": "patch", "If-Match": tag}
                patched = client.patch(f"{url}/records/todo/{guid}", json={"votes": 11}, headers=both)
                own = {"If-Match": tag}
                client.patch(f"{url}/records/todo/{guid}", json={"tags": [str(n)]}, headers=own).raise_for_status()
                answers.append((made.text, patched.text))

        threads = [threading.Thread(target=send, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert len(answers) == 8 and len(set(answers)) == 1
    assert len(node.all("todo")) == 2
    assert node.get(guid) == Todo("milk", None, 11, {str(n) for n in range(8)})


# ----------------------------------------------------------------------------------------------------- lists and inbox


def test_records_are_listed_in_pages() -> None:
    """In the order of their GUIDs, without what was deleted; each with its tag, which can be written against, and each
    page with where the next one is.
    """
    web = Web()
    guids = [web.make(title=str(n)).guid for n in range(7)]
    web.look(guids[3]).send("DELETE")
    found: list[dict[str, Any]] = []
    where: str | None = "/records/todo?limit=2"
    sizes = list[int]()
    while where is not None:
        page = web.answer("GET", where).json()
        found += page["records"]
        sizes.append(len(page["records"]))
        where = page.get("next")
    assert sizes == [2, 2, 2]  # and no empty page behind the last
    assert [one["guid"] for one in found] == sorted(set(guids) - {guids[3]})
    web.node.edit(found[0]["guid"], owner="ann")
    web.answer(
        "PATCH", f"/records/todo/{found[0]['guid']}", headers={"If-Match": f'"{found[0]["tag"]}"'}, json={"title": "x"}
    )
    assert web.node.get(found[0]["guid"]).title == "x" and web.node.get(found[0]["guid"]).owner == "ann"
    for limit in ("0", "1001", "-1", "two", "", "\uff11"):
        web.answer("GET", f"/records/todo?limit={limit}", 400)
    assert web.answer("GET", "/records/note").json() == {"records": []}


def clashed(web: Web) -> Seen:
    """A record with an open conflict, and a value that lost."""
    form = web.make()
    other = web.look(form.guid)
    form.patch(owner="ann", title="one")
    web.wall += 5
    other.patch(owner="bob", title="two")
    return web.look(form.guid)


def test_the_inbox_shows_what_waits_and_resolve_settles_it() -> None:
    """By a candidate or a value of one's own; what was not open, or half an answer, is refused."""
    web = Web()
    form = clashed(web)
    (item,) = web.answer("GET", "/inbox").json()["inbox"]
    assert (item["guid"], item["model"]) == (form.guid, "todo")
    (conflict,), (lost,) = item["conflicts"], item["lost"]
    assert conflict["path"] == "owner" and lost["path"] == "title"
    assert {lost["value"], form.record["title"]} == {"one", "two"}
    ann = next(c["id"] for c in conflict["candidates"] if c["value"] == "ann")
    bad: Any
    for bad in (
        {"owner": "ann"},
        {"owner": {"candidate": "none"}},
        {"owner": {}},
        {"nothing": {"value": 1}},
        {"owner": {"value": 7}},
    ):
        form.send("POST", bad, 422, "/resolve")
    form.send("POST", [], 400, "/resolve")
    after = form.send("POST", {"owner": {"candidate": ann}}, 200, "/resolve").json()
    assert after["record"]["owner"] == "ann" and after["conflicts"] == []
    form = web.look(form.guid)
    form.send("POST", {"title": {"value": "three"}}, 200, "/resolve")
    assert web.answer("GET", "/inbox").json() == {"inbox": []}
    assert web.look(form.guid).record["title"] == "three"


def test_an_answer_settles_what_its_author_was_shown() -> None:
    """What came in meanwhile stays open."""
    web = Web()
    shown = clashed(web)
    stale = web.look(shown.guid)
    ann = next(c["id"] for c in shown.all["conflicts"][0]["candidates"] if c["value"] == "ann")
    web.look(shown.guid).patch(owner="cay")
    after = stale.send("POST", {"owner": {"candidate": ann}}, 200, "/resolve").json()
    (conflict,) = after["conflicts"]
    assert {c["value"] for c in conflict["candidates"]} == {"ann", "cay"}


def test_a_client_reads_and_writes_what_it_may() -> None:
    """403 by model and by verb; the inbox shows what may be read."""
    web = Web(read=["note"], write=["note"])
    guid = web.node.insert(Todo("secret"))
    for method, path in (
        ("GET", ""),
        ("POST", ""),
        ("GET", f"/{guid}"),
        ("PATCH", f"/{guid}"),
        ("DELETE", f"/{guid}"),
        ("PUT", f"/{guid}"),
    ):
        how = {} if method in ("GET", "DELETE") else {"json": {"title": "x"}}
        answer = web.answer(method, f"/records/todo{path}", 403, headers={"If-Match": "*"}, **how)
        assert "secret" not in answer.text
    web.answer("POST", f"/records/todo/{guid}/resolve", 403, headers={"If-Match": "*"}, json={})
    web.answer("POST", f"/records/todo/{guid}/restore", 403, headers={"If-Match": "*"})
    full = web.node.add_node("full")
    other = copy.copy(web)
    other.client = Client(web.node.app)
    other.as_(full)
    clashed(other)
    assert len(other.answer("GET", "/inbox").json()["inbox"]) == 1
    assert web.answer("GET", "/inbox").json() == {"inbox": []}
    reader = web.node.add_node("reader", read=["todo"], write=[])
    web.as_(reader)
    assert web.answer("GET", f"/records/todo/{guid}").json()["record"]["title"] == "secret"
    web.answer("PATCH", f"/records/todo/{guid}", 403, headers={"If-Match": "*"}, json={"title": "x"})


def test_nothing_is_read_or_written_without_a_token() -> None:
    """401, and how to do better; the description and the health alone are everybody's."""
    web = Web()
    guid = web.make().guid
    del web.client.headers["Authorization"]
    calls = [
        ("GET", "/records/todo"),
        ("GET", f"/records/todo/{guid}"),
        ("POST", "/records/todo"),
        ("PATCH", f"/records/todo/{guid}"),
        ("PUT", f"/records/todo/{guid}"),
        ("DELETE", f"/records/todo/{guid}"),
        ("GET", "/inbox"),
        ("POST", "/sync"),
        ("GET", "/events"),
        ("POST", f"/records/todo/{guid}/resolve"),
        ("POST", f"/records/todo/{guid}/restore"),
    ]
    for method, path in calls:
        for value in (None, "Bearer", "Bearer x", "Basic eDp5"):
            headers = {} if value is None else {"Authorization": value}
            answer = web.answer(method, path, 401, headers=headers)
            assert answer.headers["WWW-Authenticate"] == "Bearer"
    health = web.answer("GET", "/health").json()
    assert (health["name"], health["time"]) == ("server", START)
    web.answer("GET", "/openapi.json")


# ------------------------------------------------------------------------------------------------------ the description


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        for name, value in part.items():
            if name == "$ref":
                yield value
            else:
                yield from _references(value)
    elif isinstance(part, list):
        for value in part:
            yield from _references(value)


@pytest.mark.parametrize("models", [MODELS, {}, {"one": Note}], ids=["models", "none", "one"])
def test_the_description_has_a_schema_for_every_model_and_every_route(models: dict[str, Any]) -> None:
    """OpenAPI 3.1: all that it refers to is in it, every operation has its answers and its parameters."""
    web = Web(models=models)
    told = web.answer("GET", "/openapi.json").json()
    assert told["openapi"].startswith("3.1.") and told["info"]["title"] == "server" and told["info"]["version"]
    schemas = told["components"]["schemas"]
    assert {cls.__name__ for cls in models.values()} <= schemas.keys()
    for name in _references(told):
        *way, last = name.removeprefix("#/").split("/")
        assert way == ["components", "schemas"] and last in schemas, name
    for cls in models.values():
        fields = {field.encode_name for field in msgspec.structs.fields(cls)}
        assert schemas[cls.__name__]["properties"].keys() == fields
    routes = {(route.path, method) for route in web.node.app.routes for method in route.methods if method != "HEAD"}  # type: ignore[attr-defined]
    described = {(path, method.upper()) for path, item in told["paths"].items() for method in item}
    assert described == routes - {("/openapi.json", "GET")}
    for path, item in told["paths"].items():
        for operation in item.values():
            assert operation["summary"]
            named = {p["name"] for p in operation.get("parameters", ()) if p["in"] == "path"}
            assert named == {part[1:-1] for part in path.split("/") if part.startswith("{")}
            for parameter in operation.get("parameters", ()):
                assert {"name", "in", "required", "schema"} <= parameter.keys()
            assert operation["responses"]
            for status, response in operation["responses"].items():
                assert status == "default" or status.isdigit()
                assert response["description"]
            if "requestBody" in operation:
                assert operation["requestBody"]["content"]
    assert told["security"] == [{"token": []}] and told["components"]["securitySchemes"]["token"]["scheme"] == "bearer"


def test_the_description_of_a_list_tells_how_it_is_paged() -> None:
    """``after`` and ``limit`` are in it."""
    told = Web().answer("GET", "/openapi.json").json()
    listed = told["paths"]["/records/{model}"]["get"]
    assert {"after", "limit"} <= {p["name"] for p in listed["parameters"]}
    properties = listed["responses"]["200"]["content"]["application/json"]["schema"]["properties"]
    assert properties["records"]["items"] == {"$ref": "#/components/schemas/Answer"} and "next" in properties


def test_what_is_answered_is_what_is_described() -> None:
    """An answer has the properties of its schema, and the record those of its model's."""
    web = Web()
    told = web.answer("GET", "/openapi.json").json()["components"]["schemas"]
    form = clashed(web)
    assert form.all.keys() == told["Answer"]["properties"].keys()
    assert form.record.keys() == told["Todo"]["properties"].keys()


def test_odd_names_in_a_path_find_nothing_and_break_nothing() -> None:
    """Whatever stands where a model or a GUID should."""
    web = Web(models={})
    for path in (
        "/records/sqlite_master",
        "/records/mergecore_peers",
        "/records/a%20b",
        "/records/%00",
        "/records/x" + "y" * 200,
    ):
        assert web.client.get(path).status_code in (200, 404, 422), path
        assert web.client.post(path, json={"a": 1}).status_code in (404, 422), path
    for guid in ("%00", "%27%20OR%201=1", "x" * 3000, "..%2f..", "%ed%a0%80"):
        assert web.client.get(f"/records/todo/{guid}").status_code in (404, 422), guid
        headers = {"If-Match": "*"}
        assert web.client.patch(f"/records/todo/{guid}", json={"a": 1}, headers=headers).status_code in (404, 422), guid
    assert web.client.get("/nowhere").status_code == 404
    assert web.client.put("/records/todo", json={}).status_code == 405
