import json
import os
import re
import shlex
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from cyclopts import App

from vipe.cli.app import app
from vipe.cli.output import emit, table
from vipe.errors import VipeError
from vipe.printable import printable


def commands(group=app, words=("vipe",)):
    """Every command that does something, with the words that call it."""
    for name in group:
        if name.startswith("-"):
            continue
        child = group[name]
        if child.default_command is not None:
            yield " ".join((*words, name)), child
        yield from commands(child, (*words, name))


COMMANDS = dict(commands())


def groups(group=app):
    """The app and every group of commands in it."""
    yield group
    for name in group:
        if not name.startswith("-") and group[name].default_command is None:
            yield from groups(group[name])


def explains(text, name):
    """Whether a text has at least two words that are not those of the name it explains."""
    said, own = (set(re.findall(r"[a-z0-9]+", words.lower())) for words in (text or "", name))
    return len(said - own) >= 2


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_summary_and_json(name):
    command = COMMANDS[name]
    assert isinstance(command, App)
    summary = (command.default_command.__doc__ or "").partition("\n")[0]
    assert summary.endswith("."), f"{name}: the docstring needs a summary line that ends with a full stop"
    assert explains(summary, name), f"{name}: the summary {summary!r} says no more than the name"
    assert "--json" in {argument.name for argument in arguments(name)}


@pytest.mark.parametrize("group", list(groups()), ids=lambda group: group.name[0])
def test_every_group_of_commands_says_what_it_is_for(group):
    assert explains(group.help, group.name[0])


def arguments(name):
    """Arguments and options of a command, with the help that a user reads; test_docs.py checks docs/cli.md."""
    found = COMMANDS[name].assemble_argument_collection(parse_docstring=True)
    return [argument for argument in found if argument.name != "*"]  # a dataclass of options, not an option


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_is(name):
    for argument in arguments(name):
        told = argument.parameter.help
        assert explains(told, argument.name), f"{name} {argument.name}: its help {told!r} says no more than its name"


@pytest.mark.parametrize("name", COMMANDS)
def test_help_lists_every_option(name, run):
    code, out, _ = run(*name.split()[1:], "--help")
    assert code == 0
    assert {argument.name for argument in arguments(name)} <= set(re.findall(r"--[a-z][a-z0-9-]*|[A-Z]{2,}", out))


def whole_numbers(name):
    """Options of a command that take a whole number, and words for all that it cannot do without."""
    arguments = COMMANDS[name].assemble_argument_collection()
    options = [argument.name for argument in arguments if argument.hint in (int, int | None)]
    needed = [argument for argument in arguments if argument.required]
    words = [word for one in needed for word in ((one.name, "x") if one.name.startswith("-") else ("x",))]
    return options, [*name.split()[1:], *words]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_fraction_is_no_whole_number(name, run):
    options, words = whole_numbers(name)
    for option in options:
        for wrong in ("1.5", "3.0"):
            code, out, err = run(*words, option, wrong)
            assert (code, out) == (2, "")
            assert err == f"vipe: Invalid value for {option}: got {wrong}, expected a whole number\n"


def test_counts_are_among_the_options_that_are_whole_numbers():
    found = {option for name in COMMANDS for option in whole_numbers(name)[0]}
    assert {
        "--k",
        "--max-per-clip",
        "--seed",
        "--queries",
        "--poses",
        "--frame",
        "--to-frame",
        "--count",
        "--samples",
        "--steps",
    } <= found


def test_importing_the_library_loads_neither_torch_nor_faiss_nor_an_extra():
    code = (
        "import sys, vipe, vipe.cli.app\n"
        "heavy = {'torch', 'faiss', 'numpy', 'pyarrow', 'scipy', 'matplotlib', 'jinja2'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there():
    import vipe

    for name in vipe.__all__:
        assert getattr(vipe, name) is not None
    assert set(vipe.__all__) <= set(dir(vipe))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = vipe.nonsense


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nonsense"], "nonsense"),
        (["ingest"], "PATH"),
        (["ingest", "nowhere.bvh", "--out", "x"], "nowhere.bvh"),
        (["store", "info", "nowhere"], "nowhere"),
        (["query", "nowhere", "--keypoints", "nowhere.json"], "nowhere"),
        (["index", "verify", "nowhere"], "nowhere"),
        (["lift", "nowhere.json"], "nowhere.json"),
        (["train", "lifter", "nowhere", "--kind", "mdn", "--out", "x"], "nowhere"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(run, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("vipe: ")
    assert err.count("\n") == 1
    assert message in err
    assert list(tmp_path.iterdir()) == []


def test_debug_shows_where_in_the_code_it_was_found(run):
    code, _, err = run("store", "info", "nowhere", "--debug")
    assert code == 2
    assert "Traceback" in err


def test_an_interrupt_has_its_own_exit_code(run, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("vipe.store.PoseStore.open", interrupted)
    code, _, err = run("store", "info", "anything")
    assert code == 130
    assert (
        err
        == "vipe: interrupted; nothing is half-written, and nothing of this run is kept: run again, it begins anew\n"
    )


@pytest.mark.parametrize(
    ("command", "kept"),
    [
        (("train", "embedding", "x", "--out", "y"), "its last checkpoint is kept"),
        (("train", "lifter", "x", "--kind", "mdn", "--out", "y"), "its last checkpoint is kept"),
        (("lift", "x"), "nothing of this run is kept"),
        (("demo",), "its finished steps are kept"),
        (("generate", "--store", "x", "--out", "y", "--mode", "samples"), "the new store is whole, or not there"),
        (("ingest", "x", "--out", "y"), "nothing of this run is kept"),
        (("index", "build", "x", "--out", "y"), "an index is as it was; a long build is kept"),
        (("query", "x", "y"), "nothing of this run is kept"),
        (("evaluate", "search", "x"), "nothing of this run is kept"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_an_interrupt_says_what_of_this_command_is_kept(run, monkeypatch, command, kept):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("vipe.cli.app.app", interrupted)
    code, out, err = run(*command)
    assert (code, out, err.count("\n")) == (130, "", 1)
    assert kept in err


@pytest.mark.parametrize("form", [(), ("--json",)], ids=["text", "json"])
@pytest.mark.parametrize("command", ["skeletons", "short"])
def test_output_that_nobody_reads_any_more_ends_the_command_quietly(command, form):
    short = "import vipe.skeletons; vipe.skeletons.known = lambda: ('h36m17',); " if command == "short" else ""
    code = f"import sys; {short}sys.argv[1:] = {['skeletons', *form]}; from vipe.cli import main; main()"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.close()  # as `| head` does
    assert (process.stderr.read(), process.wait()) == ("", 141)
    process.stderr.close()


def test_an_error_of_the_system_names_its_file(run, monkeypatch):
    def broken(*_, **__):
        raise PermissionError(13, "Permission denied", "poses.parquet")

    monkeypatch.setattr("vipe.store.PoseStore.open", broken)
    assert run("store", "info", "anything") == (2, "", "vipe: poses.parquet: Permission denied\n")


def test_a_table_is_not_folded_where_the_output_is_no_terminal(capsys):
    emit({}, table(["name"], [["x" * 150]]), as_json=False)
    assert "x" * 150 in capsys.readouterr().out


def test_a_number_that_json_does_not_have_is_never_printed(capsys):
    with pytest.raises(ValueError, match="JSON"):
        emit({"mean": float("nan")}, as_json=True)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_a_request_to_end_leaves_as_little_as_an_interrupt(tmp_path, name):
    code = f"""
import os, signal, sys
# Whoever runs the tests may ignore it, as nohup does.
signal.signal(signal.{name}, signal.default_int_handler if {name!r} == "SIGINT" else signal.SIG_DFL)
from vipe.store import PoseStore
from vipe.simulate import motion
def synthesize(**settings):
    os.kill(os.getpid(), signal.{name})
    yield from ()
motion.synthesize = synthesize
from vipe.cli.app import main
main(["synth", "--out", {str(tmp_path / "store")!r}])
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert process.returncode == 128 + getattr(signal, name)
    assert process.stderr.startswith("vipe: interrupted; nothing is half-written")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("command", "given", "expected"),
    [
        (("skeletons",), {}, "1000 1"),
        (("skeletons",), {"OMP_WAIT_POLICY": "ACTIVE"}, "None 1"),
        (("skeletons",), {"GOMP_SPINCOUNT": "5"}, "5 1"),
        (("skeletons",), {"OMP_NUM_THREADS": "2"}, "1000 2"),
        (("--debug", "train", "--help"), {}, "1000 None"),  # large steps: dividing them pays
        (("index", "build", "--help"), {}, "1000 None"),
        (("index", "info", "--help"), {}, "1000 1"),
    ],
)
def test_threads_wait_for_each_other_without_spinning_long(command, given, expected):
    """Beside other processes a query took minutes; libraries read the setting when they are loaded."""
    code = f"""
import os
from vipe.cli.app import main
main({list(command)})
print(os.environ.get("GOMP_SPINCOUNT"), os.environ.get("OMP_NUM_THREADS"))
"""
    names = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OMP_NUM_THREADS")
    environment = {name: value for name, value in os.environ.items() if name not in names} | given
    process = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert process.stdout.splitlines()[-1] == expected


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no such device")
@pytest.mark.parametrize("as_json", [True, False], ids=["JSON", "text"])
def test_a_full_disk_under_standard_output_is_told(monkeypatch, as_json):
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        monkeypatch.setattr("sys.stdout", full)
        with pytest.raises(VipeError, match=r"^standard output cannot be written: No space left on device$"):
            emit({"a": 1}, "a" * 10_000, as_json=as_json)
        with suppress(OSError):
            full.close()


def test_too_little_memory_is_one_line(run, monkeypatch):
    def refuse(*_, **__):
        raise MemoryError

    monkeypatch.setattr("vipe.store.PoseStore.open", refuse)
    assert run("store", "info", "a") == (2, "", "vipe: memory is not enough for this; give less at a time\n")


def test_a_closed_standard_output_is_one_line():
    code = "from vipe.cli.app import main; main(['skeletons'])"
    command = f"{shlex.quote(sys.executable)} -c {shlex.quote(code)} >&-"
    process = subprocess.run(["sh", "-c", command], stderr=subprocess.PIPE, text=True, check=False)
    assert process.returncode == 2
    assert process.stderr == "vipe: standard output is closed; open it, or send it to a file\n"


def test_what_steers_a_terminal_is_printed_as_text(capsys, run):
    evil = "walk\x1b[2J\x07\u202e\x9b\ud800"
    shown = r"walk\x1b[2J\x07\u202e\x9b\ud800"
    assert printable(evil) == shown
    assert printable("Größe 走\t1\n") == "Größe 走\t1\n"
    emit({}, evil, table([evil], [[evil]]), as_json=False)
    assert capsys.readouterr().out.count(shown) == 3
    code, out, err = run("store", "info", "\x1b[31mred")
    assert (code, out, "\x1b" in err, r"\x1b[31mred" in err) == (2, "", False, True)


def test_skeletons_are_listed(run):
    code, out, _ = run("skeletons", "--json")
    assert code == 0
    assert "h36m17" in json.loads(out)["bandai"]["converts_to"]
    _, text, _ = run("skeletons")
    assert "cc_base" in text
