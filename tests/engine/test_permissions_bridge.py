"""Sandbox policies and permission profiles say the same: recorded vectors in both directions."""

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.permissions.bridge import Places, Unprojectable, full_disk_write, project
from engine.permissions.legacy import core_policy, core_profile, profile, protected_subpaths
from projections import protocol as p

VECTORS = Path(__file__).parents[1] / "fixtures" / "vectors" / "permissions"


def cases(name: str) -> list[Any]:
    found = msgspec.json.decode((VECTORS / f"{name}.json").read_bytes())["cases"]
    return [pytest.param(case, id=case["name"]) for case in found]


def moved(value: Any, cwd: Path) -> Any:
    """The vector with its cwd `/W` where this test has it."""
    text = msgspec.json.encode(value).decode().replace('"/W', f'"{cwd}')
    return msgspec.json.decode(text)


def files_of(written: dict[str, Any]) -> dict[str, Any]:
    """The runtime file system policy of a profile in core form."""
    kinds = {"disabled": {"kind": "unrestricted"}, "external": {"kind": "external-sandbox"}}
    if written["type"] in kinds:
        return kinds[written["type"]]
    return {"kind": "restricted", "entries": written["file_system"]["entries"]}


@pytest.mark.parametrize("case", cases("legacy_to_file_system"))
def test_a_policy_becomes_the_profile_the_reference_makes_of_it(case: dict[str, Any], tmp_path: Path) -> None:
    for name in case["present_in_cwd"]:
        path = tmp_path / name
        if name.endswith("/"):
            path.mkdir(parents=True)
        else:
            path.touch()
    case = moved(case, tmp_path)
    policy = msgspec.convert(case["sandboxPolicy"], p.SandboxPolicy)
    written = core_profile(profile(policy, tmp_path))
    assert core_policy(policy) == case["expect"]["core_policy"]
    assert files_of(written) == case["expect"]["file_system"]
    assert written.get("network", "enabled") == case["expect"]["network"]


@pytest.mark.parametrize("case", cases("profile_to_sandbox"))
def test_a_profile_becomes_the_policy_the_reference_makes_of_it(case: dict[str, Any]) -> None:
    wanted = case["permissionProfile"]
    if "error" in case and case["error"]["message"].startswith("Invalid request"):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(wanted, p.PermissionProfile)
        return
    granted = msgspec.convert(wanted, p.PermissionProfile)
    places = Places(cwd="/W", tmpdir="/tmpdir", slash_tmp="/tmp")
    if "error" in case:
        with pytest.raises(Unprojectable) as caught:
            project(granted, places)
        assert case["error"]["message"].endswith(str(caught.value))
        return
    policy, echoed = project(granted, places)
    assert msgspec.to_builtins(policy) == case["expect"]["sandbox"]
    assert msgspec.to_builtins(echoed) == case["expect"]["permissionProfile"]


def test_the_core_form_leaves_out_absent_subpaths_and_keeps_the_depth() -> None:
    root = p.SpecialFileSystemPath(value=p.ProjectRootsFileSystemSpecialPath())
    files = p.RestrictedPermissionProfileFileSystemPermissions(
        entries=[p.FileSystemSandboxEntry(path=root, access="read")], glob_scan_max_depth=3
    )
    network = p.PermissionProfileNetworkPermissions(enabled=True)
    assert core_profile(p.ManagedPermissionProfile(network=network, file_system=files)) == {
        "type": "managed",
        "file_system": {
            "type": "restricted",
            "entries": [{"path": {"type": "special", "value": {"kind": "project_roots"}}, "access": "read"}],
            "glob_scan_max_depth": 3,
        },
        "network": "enabled",
    }


def test_a_git_file_protects_the_folder_it_points_to(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    work = tmp_path / "work"
    work.mkdir()
    (work / ".git").write_text("gitdir: ../real\n")
    assert protected_subpaths(work) == [str(tmp_path / "real"), str(work / ".git")]
    (work / ".git").write_text("gitdir: ../gone\n")
    assert protected_subpaths(work) == [str(work / ".git")]


SPECIALS: list[p.FileSystemSpecialPath] = [
    p.RootFileSystemSpecialPath(),
    p.MinimalFileSystemSpecialPath(),
    p.CurrentWorkingDirectoryFileSystemSpecialPath(),
    p.ProjectRootsFileSystemSpecialPath(),
    p.ProjectRootsFileSystemSpecialPath(subpath="sub"),
    p.TmpdirFileSystemSpecialPath(),
    p.SlashTmpFileSystemSpecialPath(),
    p.UnknownFileSystemSpecialPath(path=":x"),
]
TARGETS: st.SearchStrategy[p.FileSystemPath] = st.one_of(
    st.sampled_from(SPECIALS).map(lambda value: p.SpecialFileSystemPath(value=value)),
    st.sampled_from(["/", "/W", "/W/a", "/opt"]).map(lambda path: p.PathFileSystemPath(path=path)),
    st.just(p.GlobPatternFileSystemPath(pattern="**/*.env")),
)
ENTRIES = st.lists(
    st.builds(
        p.FileSystemSandboxEntry,
        path=TARGETS,
        access=st.sampled_from(["read", "write", "none"]),
    ),
    max_size=5,
)


@given(ENTRIES, st.booleans())
def test_a_policy_never_allows_all_unless_the_profile_does(
    entries: list[p.FileSystemSandboxEntry], enabled: bool
) -> None:
    granted = p.ManagedPermissionProfile(
        network=p.PermissionProfileNetworkPermissions(enabled=enabled),
        file_system=p.RestrictedPermissionProfileFileSystemPermissions(entries=entries),
    )
    places = Places(cwd="/W", tmpdir=None, slash_tmp="/tmp")
    try:
        policy, _ = project(granted, places)
    except Unprojectable:
        return
    unlimited = isinstance(policy, p.DangerFullAccessSandboxPolicy | p.ExternalSandboxSandboxPolicy)
    assert unlimited == full_disk_write(entries)
    if isinstance(policy, p.ReadOnlySandboxPolicy | p.WorkspaceWriteSandboxPolicy):
        assert policy.network_access == enabled
    if isinstance(policy, p.WorkspaceWriteSandboxPolicy):
        written = {places.of(entry.path) for entry in entries if entry.access == "write"}
        assert {"/W", *policy.writable_roots} <= {path and os.path.normpath(path) for path in written}
