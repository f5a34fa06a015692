"""The page of a run: it says what the records say, needs nothing from elsewhere, and no name in it
is anything but text."""

import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from tiny import with_moves, write_cifar10

from minidsr.__main__ import main
from minidsr.methods import METHODS
from minidsr.run import moves, page
from minidsr.run.config import Config
from minidsr.run.history import History
from minidsr.run.train import train

HOSTILE = "</script><script>document.title='taken'</script><img src=x onerror=alert(1)>*&amp;"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A config that trains a small network for ten steps, and records births and deaths."""
    folder = write_cifar10(tmp_path_factory.mktemp("data"))
    return Config(data="cifar10", data_dir=str(folder), model="small-cnn-0.1", batch=20, epochs=2,
                  lr=0.02, periods=(1, 2), period_milestones=(0.5,), sparsity=0.5, threshold=0.02,
                  tolerance=0.5, device="cpu", threads=1, engine="blocked", record=True)


@pytest.fixture(scope="module")
def dsr(tiny, tmp_path_factory):
    """(folder, Config, History) of a run of DSR."""
    out = tmp_path_factory.mktemp("run") / "dsr"
    return out, tiny, train(tiny, out=out)


def shown(runs, path):
    """What the page of these runs has been given to draw."""
    text = page.write(runs, path).read_text(encoding="utf-8")
    return json.loads(re.search(r'<script id="data"[^>]*>(.*?)</script>', text, re.DOTALL)[1])


class Tags(HTMLParser):
    """Which tags are open, and which have been opened and closed."""

    def __init__(self):
        super().__init__()
        self.open, self.all, self.id = [], [], []

    def handle_starttag(self, tag, attributes):
        self.all.append(tag)
        self.id += [value for name, value in attributes if name == "id"]
        if tag not in ("meta", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


# --- what Python writes


@pytest.mark.parametrize("method", METHODS)
def test_every_method_has_a_page(tiny, tmp_path, method):
    config = with_moves(tiny, method)
    history = train(config)
    fits(config, history, tmp_path / "page.html", METHODS[method].sparse)
    fits(config, unrecorded(history), tmp_path / "page.html", False)


def unrecorded(history):
    """The same records without births and deaths."""
    other = History()
    other.records = [{name: value for name, value in record.items()
                      if name not in ("start", "died", "born")} for record in history.records]
    return other


def fits(config, history, path, drawn):
    """The page at `path` shows this run; its kernels if they are `drawn`."""
    method, data = config.method, shown({"a": (config, history)}, path)
    run, = data["runs"]
    moments = [history.setup, *(history.reallocations or history.epochs)]
    if history.epochs[-1]["step"] > moments[-1]["step"]:
        moments.append(history.epochs[-1])
    assert data["steps"] == [record["step"] for record in moments]
    assert run["at"] == list(range(len(moments)))
    for moment, record in zip(run["moments"], moments, strict=True):
        active = record.get("active") or [t["active"] for t in history.setup["tensors"]]
        cells = [dict(zip(run["columns"], row, strict=True)) for row in moment["rows"]]
        assert [cell["in use"] for cell in cells] == [f"{n:,}" for n in (*active, sum(active))]
        if record["kind"] == "reallocation":
            assert f"K = {record['K']:,}*" in moment["say"]
            assert moment["bars"] == [*map(list, zip(record["pruned"], record["grown"],
                                                     strict=True))]
    assert "test accuracy *" in run["moments"][-1]["say"]
    assert len(run["grids"]) == len(run["start"]) == 4 * drawn
    hunt, _, density, accuracy, kernels = run["parts"]
    assert len(hunt["plots"]) == (2 if method == "dsr" else 1 if history.reallocations else 0)
    assert hunt["plots"] or hunt["note"]
    assert len(density["plots"][0]["lines"]) == 4
    assert [line["name"] for line in accuracy["plots"][0]["lines"]] == ["test", "train", "R_s"]
    assert drawn != kernels["note"].startswith("Nothing is drawn: ")


def test_numbers_are_those_of_the_run(dsr, tmp_path):
    out, config, history = dsr
    data = shown({"a": (config, history)}, tmp_path / "page.html")
    run, = data["runs"]
    changes = {r["next_H"] / r["H"] for r in history.reallocations}
    assert 1 in changes and len(changes) > 1
    start = [{*p.tolist()} for p in moves.at_start(history.setup)]
    for i, (record, move) in enumerate(zip(history.reallocations, history.moves, strict=True)):
        moment, said = run["moments"][i + 1], run["moments"][i + 1]["say"]
        assert f"of N_p = {record['N_p']} ± 50 % are pruned by H = {record['H']:.3g}, " in said
        change = {0.5: "is halved", 1: "stays", 2: "is doubled"}[record["next_H"] / record["H"]]
        assert f"so H *{change}*. " in said
        net = [g - k for g, k in zip(record["grown"], record["pruned"], strict=True)]
        if max(net) > 0:
            gains = run["grids"][net.index(max(net))]["name"]
            assert f"*{gains}* gains most (+{max(net)}), " in said
        else:
            assert "No weight changes its tensor" in said
        newborn = moves.newborns(history.moves)[i]
        assert (f"*{newborn}* of the pruned had been grown only the time before" in said) == (i > 0)
        assert [moment["died"], moment["born"]] == [record["died"], record["born"]]
        for p, (died, _), caption in zip(start, move, moment["captions"], strict=True):
            p -= {*died.tolist()}
            assert caption.endswith(f"{len(p)} from the start")
        l = [m - g for m, g in zip(record["active"], record["grown"], strict=True)]
        shares = [row[run["columns"].index("K l / L")] for row in moment["rows"]]
        assert shares == [f"{record['K'] * n / sum(l):,.1f}" for n in (*l, sum(l))]


def test_two_runs_have_one_slider_and_one_scale(dsr, tiny, tmp_path):
    config = tiny.for_method("static")
    runs = {"a": dsr[1:], "b": (config, train(config))}
    data = shown(runs, tmp_path / "page.html")
    assert data["steps"] == sorted({m["step"] for run in data["runs"] for m in run["moments"]})
    for run in data["runs"]:
        for step, i in zip(data["steps"], run["at"], strict=True):
            after = [m["step"] for m in run["moments"][i + 1:]]
            assert run["moments"][i]["step"] <= step < min(after, default=10**9)
    one, other = (run["parts"][2]["plots"][0]["range"] for run in data["runs"])
    assert one == other and one[1] > 50
    assert [run["short"] for run in data["runs"]] == ["dsr", "static"]
    both = shown({"a": dsr[1:], "b": dsr[1:]}, tmp_path / "page.html")
    assert [run["short"] for run in both["runs"]] == ["a", "b"]
    for wrong in ({}, runs | {"c": dsr[1:]}):
        with pytest.raises(ValueError, match=r"shows one run, or two .*, not [03]"):
            page.write(wrong, tmp_path / "page.html")


def test_large_tensors_are_named_and_not_drawn(dsr, tmp_path, monkeypatch):
    sizes = [t["size"] for t in dsr[2].setup["tensors"]]
    monkeypatch.setattr(page, "DRAWN", max(sizes))
    run, = shown({"a": dsr[1:]}, tmp_path / "page.html")["runs"]
    assert len(run["grids"]) == len(run["moments"][1]["died"]) == len(sizes) - sizes.count(
        max(sizes))
    assert "or more, so not drawn: conv5." in run["parts"][4]["note"]


def test_the_file_is_whole_and_needs_nothing(dsr, tmp_path):
    """Each tag is closed, no two have one id, no address stands in it but the name of SVG."""
    text = page.write({"a": dsr[1:]}, tmp_path / "page.html").read_text(encoding="utf-8")
    tags = Tags()
    tags.feed(text)
    tags.close()
    assert not tags.open and len({*tags.id}) == len(tags.id)
    assert {"noscript", "main"} <= {*tags.all} and not {"link", "img", "iframe"} & {*tags.all}
    assert text.replace("http://www.w3.org/2000/svg", "", 1).count("http") == 0
    assert not re.search(r"\b(import|fetch|src|url|innerHTML|eval)\b", text)
    assert "prefers-reduced-motion" in text and "prefers-color-scheme" in text


def hostile(history):
    """The same records, of tensors with a hostile name."""
    other = History()
    other.records = json.loads(json.dumps(history.records))
    other.setup["tensors"][0]["name"] = other.setup["network"] = HOSTILE
    return other


def test_names_are_text(dsr, tmp_path):
    path = tmp_path / "page.html"
    plain, other = Tags(), Tags()
    plain.feed(page.write({"a": dsr[1:]}, path).read_text(encoding="utf-8"))
    other.feed(page.write({HOSTILE: (dsr[1], hostile(dsr[2]))}, path).read_text(encoding="utf-8"))
    assert plain.all == other.all
    assert shown({HOSTILE: dsr[1:]}, path)["runs"][0]["label"] == HOSTILE


# --- the command


def test_plot_html(dsr, capsys, monkeypatch, tmp_path):
    out, *_ = dsr
    monkeypatch.chdir(tmp_path)
    assert main(["plot", str(out), "--html"]) == 0
    path = out / "figures" / "page.html"
    assert capsys.readouterr().out == (
        f"{path}: {path.stat().st_size:,} bytes; open it in a browser\n")
    alone = path.read_text(encoding="utf-8")
    assert main(["plot", str(out), str(out / ".." / "dsr"), "--html"]) == 0
    both = tmp_path / "runs" / "figures" / "page.html"
    assert "dsr/../dsr" in both.read_text(encoding="utf-8")
    assert path.read_text(encoding="utf-8") == alone


@pytest.mark.parametrize(("argv", "said"), [
    (["--html"], "one run, or two"), (["a", "b", "c", "--html"], "one run, or two"),
    (["none", "--html"], "none: not a run directory"), ([], "the directory of a run")])
def test_what_has_no_page_is_refused(argv, said, capsys):
    assert main(["plot", *argv]) == 2
    assert said in capsys.readouterr().err


# --- in a browser


def in_chromium(path, folder):
    """(DOM, console) of the page at a path, with its hash, in a real browser."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("needs Chromium: apt install chromium")
    done = subprocess.run(
        [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
         "--no-first-run", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", f"--user-data-dir={folder}", "--enable-logging=stderr",
         "--window-size=1220,900", "--dump-dom", f"file://{path}"],
        capture_output=True, text=True, check=True, timeout=120)
    return done.stdout, [line for line in done.stderr.splitlines() if ":CONSOLE" in line]


class Text(HTMLParser):
    """The texts of elements by tag, or by tag.class."""

    def __init__(self):
        super().__init__()
        self.open, self.found = [], {}

    def handle_starttag(self, tag, attributes):
        names = dict(attributes)
        self.open.append((tag, f"{tag}.{names.get('class')}"))
        for name in self.open[-1]:
            self.found.setdefault(name, []).append("")

    def handle_endtag(self, tag):
        while self.open and self.open.pop()[0] != tag:
            pass

    def handle_data(self, data):
        for name in {name for names in self.open for name in names}:
            self.found[name][-1] += data


@pytest.mark.slow
def test_in_a_browser_numbers_are_those_of_the_run(dsr, tiny, tmp_path):
    """Of two runs side by side, at the fourth moment of the first, which has hostile names; the
    other moves nothing and has recorded nothing."""
    config = replace(tiny.for_method("dense"), record=False)
    runs = {HOSTILE: (dsr[1], hostile(dsr[2])), "b": (config, train(config))}
    path = page.write(runs, tmp_path / "page.html")
    dom, console = in_chromium(f"{path}#4", tmp_path / "profile")
    assert not console
    text = Text()
    text.feed(dom)
    data, record = shown(runs, path), dsr[2].reallocations[3]
    moving, still = (run["moments"][run["at"][4]] for run in data["runs"])
    assert text.found["title"] == ["Weights that move"]
    assert text.found["output"] == [f"4 of {len(data['steps']) - 1}, step {record['step']}"]
    assert text.found["p.say"] == [m["say"].replace("*", "") for m in (moving, still)]
    assert f"K = {record['K']} of N_p = {record['N_p']} " in text.found["p.say"][0]
    rows = [re.sub(r"(<[^>]*>)+", "|", row).strip("|").split("|")
            for row in re.findall("<tr>.*?</tr>", dom)]
    assert [row for row in rows if row[0] == "conv3"] == [m["rows"][1] for m in (moving, still)]
    assert text.found["figcaption"] == moving["captions"]
    assert text.found["h2"] == [f"dsr: {HOSTILE}", "dense: b"]
    assert text.found["figcaption"][0].startswith(HOSTILE)
    assert "dense has recorded no reallocation." in dom and "Nothing is drawn: " in dom
