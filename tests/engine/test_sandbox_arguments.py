"""Bubblewrap's arguments for a policy or profile, as recorded from the reference, and what cannot be enforced."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.permissions import legacy
from engine.permissions.bridge import Places
from engine.processes.spawn import Arg
from engine.sandbox import bubblewrap
from engine.sandbox.globs import masked_files
from engine.sandbox.view import SandboxUnsupported, View, view
from projections import protocol as p

VECTORS = Path(__file__).parents[1] / "fixtures/vectors/permissions"
ARGUMENTS = json.loads((VECTORS / "bwrap_args.json").read_text())["cases"]
GLOBS = json.loads((VECTORS / "glob_scan_depth.json").read_text())["cases"]

# A link that matches is masked by its target alone: the reference masks the link as well, and then cannot start.
LINKS = {"none_tree", "1_tree", "2_tree", "3_tree"}


def plant(folder: Path, tree: list[str]) -> None:
    """Files, `x/` folders and `x@y` links below a folder."""
    for name in tree:
        name, _, target = name.partition("@")
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if target:
            path.symlink_to(folder / target)
        elif name.endswith("/"):
            path.mkdir(exist_ok=True)
        else:
            path.write_text("")


def named(case: dict[str, Any]) -> str:
    return str(case["name"])


@pytest.mark.parametrize("case", ARGUMENTS, ids=named)
def test_arguments_are_those_of_the_reference(case: dict[str, Any], tmp_path: Path) -> None:
    workspace, temporary = tmp_path / "ws", tmp_path / "tmp"
    workspace.mkdir()
    temporary.mkdir()
    plant(workspace, case["tree"])
    given = json.loads(json.dumps(case).replace("/home/dev", str(tmp_path)))
    if "sandboxPolicy" in given:
        profile = legacy.profile(msgspec.convert(given["sandboxPolicy"], p.SandboxPolicy), workspace)
    else:
        profile = msgspec.convert(given["permissionProfile"], p.PermissionProfile)
    seen = view(profile, Places(cwd=str(workspace), tmpdir=str(temporary), slash_tmp="/tmp"))
    if given["args"] is None:
        assert seen.writes_all
        return
    shown = [arg if isinstance(arg, str) else "3" for arg in bubblewrap.arguments(seen)]
    assert sorted_binds(shown) == sorted_binds(given["args"])


def sorted_binds(args: list[str]) -> list[str]:
    """The arguments with read-only binds under a restricted view in the order of these paths.

    They are sorted by path, and the test's folder sorts elsewhere than the recorded one.
    """
    if "--tmpfs" not in args[:4]:
        return args
    binds = [tuple(args[i : i + 3]) for i in range(6, len(args)) if args[i] == "--ro-bind"]
    rest = args[6 + 3 * len(binds) :]
    return [*args[:6], *(word for bind in sorted(binds) for word in bind), *rest]


@pytest.mark.parametrize("case", GLOBS, ids=named)
def test_globs_mask_the_files_that_the_reference_masks(case: dict[str, Any], tmp_path: Path) -> None:
    plant(tmp_path, case["tree"])
    masked = masked_files(case["pattern"].replace("/W", str(tmp_path)), str(tmp_path), case["depth"])
    expected = [path.replace("/W", str(tmp_path)) for path in case["masked"]]
    links = {path for path in expected if os.path.islink(path)}
    assert masked == [path for path in expected if path not in links]
    assert all(os.path.realpath(link) in masked for link in links)


def entry(path: str, access: str) -> dict[str, Any]:
    kinds = {"type": "special", "value": {"kind": path[1:]}} if path.startswith(":") else {"type": "path", "path": path}
    return {"path": {"type": "glob_pattern", "pattern": path} if "*" in path else kinds, "access": access}


def seen(workspace: Path, *entries: tuple[str, str], network: bool = False) -> View:
    profile = {
        "type": "managed",
        "network": {"enabled": network},
        "fileSystem": {"type": "restricted", "entries": [entry(path, access) for path, access in entries]},
    }
    return view(msgspec.convert(profile, p.PermissionProfile), Places(cwd=str(workspace)))


def middle(found: View) -> list[Arg]:
    """The arguments between the root and the namespaces."""
    args = list(bubblewrap.arguments(found))
    return args[7 : args.index("--unshare-user")]


def test_denied_folders_open_again_at_writable_places(tmp_path: Path) -> None:
    plant(tmp_path, [".codex/", "sec/a/b/f", "sec/pub2/.git/x"])
    w = str(tmp_path)
    found = seen(
        tmp_path,
        (":root", "read"),
        (":current_working_directory", "write"),
        (f"{w}/sec", "none"),
        (f"{w}/sec/pub2", "write"),
        (f"{w}/sec/a/b", "write"),
    )
    assert middle(found)[6:] == [
        *("--perms", "111", "--tmpfs", f"{w}/sec"),
        *("--dir", f"{w}/sec/pub2", "--dir", f"{w}/sec/a", "--dir", f"{w}/sec/a/b", "--remount-ro", f"{w}/sec"),
        *("--dir", f"{w}/sec/pub2", "--bind", f"{w}/sec/pub2", f"{w}/sec/pub2"),
        *("--ro-bind", f"{w}/sec/pub2/.git", f"{w}/sec/pub2/.git"),
        *("--dir", f"{w}/sec/a", "--dir", f"{w}/sec/a/b", "--bind", f"{w}/sec/a/b", f"{w}/sec/a/b"),
    ]


def test_what_a_denied_folder_hides_is_not_masked_again(tmp_path: Path) -> None:
    plant(tmp_path, ["a/b/c/d"])
    w = str(tmp_path)
    hidden = seen(tmp_path, (":root", "read"), (f"{w}/a", "none"), (f"{w}/a/b", "none"))
    assert hidden.denied == (f"{w}/a",)
    shown = seen(tmp_path, (":root", "read"), (f"{w}/a", "none"), (f"{w}/a/b", "write"), (f"{w}/a/b/c", "none"))
    assert shown.denied == (f"{w}/a", f"{w}/a/b/c")


def test_an_explicit_entry_lifts_the_protection(tmp_path: Path) -> None:
    plant(tmp_path, [".git/x", ".codex/"])
    found = seen(tmp_path, (":root", "read"), (":current_working_directory", "write"), (f"{tmp_path}/.git", "write"))
    assert [(root.path, root.read_only) for root in found.writable] == [
        (str(tmp_path), (f"{tmp_path}/.codex",)),
        (f"{tmp_path}/.git", ()),
    ]


def test_the_folder_a_git_file_points_to_is_protected(tmp_path: Path) -> None:
    plant(tmp_path, ["real/x", "ws/.codex/"])
    (tmp_path / "ws/.git").write_text("gitdir: ../real\n")
    found = seen(tmp_path / "ws", (":root", "read"), (":current_working_directory", "write"))
    assert found.writable[0].read_only == (f"{tmp_path}/real", f"{tmp_path}/ws/.git", f"{tmp_path}/ws/.codex")


@pytest.mark.parametrize(("name", "access", "kind"), [("link", "read", "read-only"), ("link/f", "none", "deny-read")])
def test_a_link_that_could_be_replaced_protects_nothing(tmp_path: Path, name: str, access: str, kind: str) -> None:
    plant(tmp_path, ["docs/f", "link@docs"])
    with pytest.raises(SandboxUnsupported, match=f"cannot enforce sandbox {kind} path .* because it crosses writable"):
        seen(tmp_path, (":root", "read"), (":current_working_directory", "write"), (f"{tmp_path}/{name}", access))


def test_a_link_that_nobody_can_replace_is_followed(tmp_path: Path) -> None:
    plant(tmp_path, ["docs/f", "link@docs"])
    found = seen(tmp_path, (":root", "read"), (f"{tmp_path}/link/f", "none"))
    assert found.denied == (f"{tmp_path}/docs/f",)


@pytest.mark.parametrize("workspace", ["real", "link"])
@pytest.mark.parametrize("entry_by", ["real", "link"])
def test_a_place_is_the_same_by_all_its_names(tmp_path: Path, workspace: str, entry_by: str) -> None:
    plant(tmp_path, ["real/docs/f", "real/.codex/", "real/sec/f", "link@real"])
    found = seen(
        tmp_path / workspace,
        (":root", "read"),
        (":current_working_directory", "write"),
        (f"{tmp_path}/{entry_by}/docs", "read"),
        (f"{tmp_path}/{entry_by}/sec", "none"),
    )
    assert [(root.path, root.read_only) for root in found.writable] == [
        (f"{tmp_path}/real", (f"{tmp_path}/real/.codex", f"{tmp_path}/real/docs"))
    ]
    assert found.denied == (f"{tmp_path}/real/sec",)


def test_none_wins_over_write_and_write_over_read(tmp_path: Path) -> None:
    plant(tmp_path, ["a/", "b/", ".codex/"])
    entries = [(f"{tmp_path}/a", access) for access in ("write", "none", "read")]
    more = [(f"{tmp_path}/b", access) for access in ("read", "write")]
    found = seen(tmp_path, (":root", "read"), (":current_working_directory", "write"), *entries, *more)
    assert [(root.path, root.read_only) for root in found.writable] == [
        (str(tmp_path), (f"{tmp_path}/.codex",)),
        (f"{tmp_path}/b", ()),
    ]
    assert found.denied == (f"{tmp_path}/a",)


def test_links_that_lead_in_a_circle_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(SandboxUnsupported, match="too many levels"):
        seen(tmp_path, (":root", "read"), (f"{tmp_path}/a", "none"))


def test_one_cannot_hide_everything(tmp_path: Path) -> None:
    with pytest.raises(SandboxUnsupported, match="deny to read `/`"):
        seen(tmp_path, ("/", "none"))


def test_without_network_there_is_a_filter_for_system_calls(tmp_path: Path) -> None:
    off = bubblewrap.confine(["x"], seen(tmp_path, (":root", "read")), "/usr/bin/bwrap")
    on = bubblewrap.confine(["x"], seen(tmp_path, (":root", "read"), network=True), "/usr/bin/bwrap")
    assert "--seccomp" in off
    assert "--seccomp" not in on
    assert off[-2:] == on[-2:] == ("--", "x")


def test_a_full_disk_without_network_is_bound_as_it_is() -> None:
    assert bubblewrap.arguments(View(network=False, reads_all=True, writes_all=True)) == (
        *("--new-session", "--die-with-parent", "--dev-bind", "/", "/"),
    )


def test_where_no_proc_can_be_mounted_there_is_none(tmp_path: Path) -> None:
    found = seen(tmp_path, (":root", "read"))
    assert bubblewrap.arguments(found)[-2:] == ("--proc", "/proc")
    assert "--proc" not in bubblewrap.arguments(found, proc=False)


def test_bubblewrap_is_looked_for_outside_writable_places(tmp_path: Path) -> None:
    for folder in ("ws", "bin"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "bwrap").write_text("")
        (tmp_path / folder / "bwrap").chmod(0o755)
    (tmp_path / "linked").symlink_to(tmp_path / "ws")
    path = f"{tmp_path}/none:{tmp_path}/ws:{tmp_path}/linked:{tmp_path}/bin"
    assert bubblewrap.find(path, [f"{tmp_path}/ws"]) == f"{tmp_path}/bin/bwrap"
    with pytest.raises(SandboxUnsupported, match="install `bwrap`"):
        bubblewrap.find(f"{tmp_path}/ws:relative:", [f"{tmp_path}/ws"])
