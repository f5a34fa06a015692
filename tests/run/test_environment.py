"""The commit that env.json records is of this very package, or none is recorded."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import minidsr.run.environment as original

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(folder, *words):
    """Run git in a folder, as somebody, whatever the variables of this process."""
    names = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *words], env=names,
                          cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def package(folder):
    """A package in `folder`, with our environment.py; returns what its commit is found to be."""
    (folder / "run").mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    path = Path(shutil.copy(original.__file__, folder / "run" / "environment.py"))

    def commit():
        spec = importlib.util.spec_from_file_location("minidsr.run.elsewhere", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)  # __file__ is that of the copy
        return module.environment()["commit"]

    return commit


@pytest.fixture
def repository(tmp_path):
    """A repository with one commit: a package, and a file beside it."""
    folder = tmp_path / "project"
    commit = package(folder / "package")
    (folder / "notes.txt").write_text("a")
    (folder / ".gitignore").write_text(".venv\n__pycache__\n")
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "a")
    return folder, commit, git(folder, "rev-parse", "HEAD")


def test_the_commit_of_a_tracked_package(repository):
    folder, commit, head = repository
    assert commit() == head
    (folder / "notes.txt").write_text("changed, but of no package")
    (folder / "package" / "new.py").write_text("not tracked")
    assert commit() == head


def test_a_changed_package_is_dirty(repository):
    """Changed, staged or deleted; with the commit again when it is as it was."""
    folder, commit, head = repository
    file = folder / "package" / "__init__.py"
    file.write_text("changed = True")
    assert commit() == f"{head} dirty"
    git(folder, "add", ".")
    assert commit() == f"{head} dirty"
    git(folder, "reset", "-q", "--hard")
    assert commit() == head
    file.unlink()
    assert commit() == f"{head} dirty"


def test_another_project_s_repository_is_not_believed(repository):
    """Neither where its .gitignore names the folder of the package nor where it does not."""
    folder, _, _ = repository
    assert package(folder / ".venv" / "package")() is None
    assert package(folder / "copied" / "package")() is None


def test_an_installed_package(tmp_path):
    assert package(tmp_path / "site-packages" / "package")() is None


def test_variables_of_git_name_no_other_repository(repository, tmp_path, monkeypatch):
    """As in a hook, which has them set."""
    folder, commit, head = repository
    other = tmp_path / "other"
    package(other / "package")
    git(other, "init", "-q")
    git(other, "add", ".")
    git(other, "commit", "-qm", "b")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    assert commit() == head
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git" / "index"))
    assert commit() == head
    assert package(tmp_path / "site-packages" / "package")() is None


def test_a_repository_without_a_commit(tmp_path):
    commit = package(tmp_path / "package")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    assert commit() is None


@pytest.mark.skipif(sys.platform == "win32", reason="a program in sh")
@pytest.mark.parametrize("program", [
    None, "echo fatal: detected dubious ownership >&2; exit 128", "printf '\\377'; exit 1",
    "case \"$*\" in *status*) exit 128;; *) echo abc;; esac"])
def test_git_that_is_missing_or_refuses(program, repository, tmp_path, monkeypatch):
    _, commit, _ = repository
    (tmp_path / "bin").mkdir()
    if program is not None:
        (tmp_path / "bin" / "git").write_text(f"#!/bin/sh\n{program}\n")
        (tmp_path / "bin" / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert commit() is None
