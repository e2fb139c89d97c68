"""AGENTS.md: which files count, what becomes of them, and where the budget cuts."""

from pathlib import Path

import pytest

from engine.config import Config, load
from engine.instructions import CHILD_FILES, Instructions, discover


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root" / ".git").mkdir(parents=True)
    return tmp_path / "root"


def write(folder: Path, text: str | bytes, name: str = "AGENTS.md") -> str:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return str(folder / name)


def config(home: Path, cwd: Path, **keys: object) -> Config:
    return load(home, keys, cwd)


def found(home: Path, cwd: Path, **keys: object) -> Instructions:
    return discover(config(home, cwd, **keys), cwd)


def test_nothing_found_is_no_text_and_no_source(home: Path, root: Path) -> None:
    assert found(home, root) == Instructions((), None)


def test_the_users_file_then_the_project_from_its_root_down(home: Path, root: Path) -> None:
    common = write(home, "  common \n")
    sources = (common, write(root, "root"), write(root / "a", "a"))
    write(root / "a" / "b", "below the cwd")
    text = "common\n\n--- project-doc ---\n\nroot\n\na"
    assert found(home, root / "a") == Instructions(sources, text)


def test_a_folder_gives_one_file_override_first_fallbacks_last(home: Path, root: Path) -> None:
    write(root, "hidden")
    override = write(root, "override", "AGENTS.override.md")
    fallback = write(root / "a", "fallback", "CLAUDE.md")
    write(root / "a", "too late", "X.md")
    result = found(home, root / "a", project_doc_fallback_filenames=["CLAUDE.md", "X.md"])
    assert result == Instructions((override, fallback), "override\n\nfallback")


def test_a_blank_override_hides_the_project_file_but_not_the_users_one(home: Path, root: Path) -> None:
    write(home, " \n", "AGENTS.override.md")
    common = write(home, "common")
    write(root, "hidden")
    blank = write(root, "", "AGENTS.override.md")
    assert found(home, root) == Instructions((common, blank), "common")


def test_blank_files_are_sources_without_text(home: Path, root: Path) -> None:
    source = write(root, " \n ")
    assert found(home, root) == Instructions((source,), None)


def test_project_texts_keep_their_white_space(home: Path, root: Path) -> None:
    write(root, " a \n")
    write(root / "s", "\nb")
    assert found(home, root / "s").text == " a \n\n\n\nb"


def test_without_a_marker_only_the_cwd_counts(home: Path, tmp_path: Path) -> None:
    write(tmp_path, "above")
    source = write(tmp_path / "plain", "here")
    assert found(home, tmp_path / "plain").sources == (source,)
    assert found(home, tmp_path / "plain", project_root_markers=[]).sources == (source,)


def test_one_budget_for_all_project_files_and_none_for_the_users(home: Path, root: Path) -> None:
    sources = (
        write(home, "the common text is not limited"),
        write(root, "0123456"),
        write(root / "s", "abcdefghij"),
        write(root / "s" / "d", "nothing left"),
    )
    result = found(home, root / "s" / "d", project_doc_max_bytes=12)
    text = "the common text is not limited\n\n--- project-doc ---\n\n0123456\n\nabcde"
    assert result == Instructions(sources, text)


def test_a_budget_of_zero_means_no_project_file_at_all(home: Path, root: Path) -> None:
    common = write(home, "common")
    write(root, "x")
    assert found(home, root, project_doc_max_bytes=0) == Instructions((common,), "common")


def test_a_cut_character_and_bad_bytes_are_replaced(home: Path, root: Path) -> None:
    write(root, "aé")
    assert found(home, root, project_doc_max_bytes=2).text == "a�"
    write(root, b"a\xff")
    assert found(home, root).text == "a�"


def test_a_file_of_the_user_that_is_not_utf8_is_passed_over(home: Path, root: Path) -> None:
    write(home, b"a\xff", "AGENTS.override.md")
    common = write(home, "common")
    assert found(home, root) == Instructions((common,), "common")


def test_a_link_to_a_folder_stands_for_the_folder(home: Path, root: Path, tmp_path: Path) -> None:
    sources = (write(root, "root"), write(root / "a", "a"))
    (tmp_path / "link").symlink_to(root / "a")
    assert found(home, tmp_path / "link").sources == sources


def test_sources_are_plain_paths(home: Path, root: Path) -> None:
    source = write(root.parent, "beside", "UP.md")
    assert found(home, root, project_doc_fallback_filenames=["../UP.md"]).sources == (source,)


def test_child_agents_md_tells_of_files_further_down(home: Path, root: Path) -> None:
    flags = {"features.child_agents_md": True}
    assert found(home, root, **flags) == Instructions((), CHILD_FILES)
    source = write(root, "root")
    assert found(home, root, **flags) == Instructions((source,), f"root\n\n{CHILD_FILES}")


def test_a_folder_of_that_name_is_no_file(home: Path, root: Path) -> None:
    (root / "AGENTS.override.md").mkdir()
    assert found(home, root).sources == ()
    assert found(home, root / "missing").sources == ()
