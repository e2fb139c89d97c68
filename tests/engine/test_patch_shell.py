"""Patches inside commands: which commands are taken over, and which stay commands."""

from __future__ import annotations

import pytest

from engine.patch.parse import PatchRefused
from engine.patch.shell import ShellForm, shell_form

PATCH = "*** Begin Patch\n*** Add File: f.txt\n+$HOME `x`\n*** End Patch"
SCRIPT = f"apply_patch <<'EOF'\n{PATCH}\nEOF\n"


@pytest.mark.parametrize(
    "script",
    [
        SCRIPT,
        SCRIPT.rstrip(),
        f"  \n {SCRIPT}\n\n",
        SCRIPT.replace("apply_patch", "applypatch"),
        SCRIPT.replace("'EOF'", "EOF"),
        SCRIPT.replace("'EOF'", '"EOF"'),
        SCRIPT.replace("'EOF'", "\\EOF"),
        SCRIPT.replace("<<", "<< "),
        SCRIPT.replace(" <<", " \\\n<<"),
        SCRIPT.replace("EOF", "PATCH_1"),
        SCRIPT.replace("\n", "\r\n"),
        SCRIPT.replace("<<", "<<-"),
        SCRIPT.replace("<<", "<<-").replace("\n", "\n\t"),
        SCRIPT.removesuffix("\nEOF\n"),
    ],
)
def test_a_script_that_only_applies_a_patch(script: str) -> None:
    assert shell_form(script) == ShellForm(None, PATCH)
    assert shell_form(["bash", "-lc", script]) == ShellForm(None, PATCH)


@pytest.mark.parametrize(
    ("cd", "folder"),
    [
        ("cd sub && ", "sub"),
        ("cd   ../a/b&&", "../a/b"),
        ("cd sub &&\n", "sub"),
        ("cd 'sub dir' && ", "sub dir"),
        ('cd "sub dir" && ', "sub dir"),
        ("cd sub\\ dir && ", "sub dir"),
        ("cd ~/x && ", "~/x"),
        ("cd '' && ", ""),
    ],
)
def test_a_cd_before_it_names_the_folder(cd: str, folder: str) -> None:
    assert shell_form(cd + SCRIPT) == ShellForm(folder, PATCH)


@pytest.mark.parametrize(
    "argv",
    [["apply_patch", PATCH], ["applypatch", PATCH], ["/bin/zsh", "-lc", SCRIPT], ["sh", "-c", SCRIPT]],
)
def test_commands_as_argument_lists(argv: list[str]) -> None:
    assert shell_form(argv) == ShellForm(None, PATCH)


@pytest.mark.parametrize(
    "script",
    [
        "ls",
        "",
        f"echo hi && {SCRIPT}",
        f"set -e\n{SCRIPT}",
        f"# first\n{SCRIPT}",
        f"{SCRIPT}# last\n",
        f"{SCRIPT}echo hi\n",
        f"{SCRIPT}{SCRIPT}",
        f"cd sub; {SCRIPT}",
        f"cd sub\n{SCRIPT}",
        f"cd sub || {SCRIPT}",
        f"cd && {SCRIPT}",
        f"cd a b && {SCRIPT}",
        f"cd a && cd b && {SCRIPT}",
        f"cd $HOME && {SCRIPT}",
        f'cd "$HOME" && {SCRIPT}',
        f'cd "sub$X" && {SCRIPT}',
        f"cd `pwd` && {SCRIPT}",
        f"cd sub* && {SCRIPT}",
        SCRIPT.replace("apply_patch", "apply_patch foo"),
        SCRIPT.replace("apply_patch", "'apply_patch'"),
        SCRIPT.replace("apply_patch", "/bin/apply_patch"),
        SCRIPT.replace("'EOF'", "'EOF' | cat"),
        SCRIPT.replace("'EOF'", "'EOF' && echo hi"),
        SCRIPT.replace("'EOF'", "'EOF' > out"),
        SCRIPT.replace("'EOF'", "'EOF';"),
        SCRIPT.replace("'EOF'", "'EOF' &"),
        f"cat <<'EOF' | apply_patch\n{PATCH}\nEOF\n",
        f"apply_patch <<< '{PATCH}'",
        f"apply_patch '{PATCH}'",
        f"! {SCRIPT}",
        f"({SCRIPT})",
        f"{{ {SCRIPT}}}",
    ],
)
def test_every_other_script_stays_a_command(script: str) -> None:
    assert shell_form(script) is None
    assert shell_form(["bash", "-lc", script]) is None


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["ls"],
        ["apply_patch"],
        ["apply_patch", PATCH, "x"],
        ["/usr/bin/apply_patch", PATCH],
        ["bash", "-lc", SCRIPT, "x"],
        ["bash", "-ic", SCRIPT],
        ["dash", "-c", SCRIPT],
        ["env", "bash", "-c", SCRIPT],
    ],
)
def test_every_other_argument_list_stays_a_command(argv: list[str]) -> None:
    assert shell_form(argv) is None


@pytest.mark.parametrize("text", [PATCH, f"<<'EOF'\n{PATCH}\nEOF", "*** Begin Patch\n*** End Patch"])
def test_a_bare_patch_is_refused_with_advice(text: str) -> None:
    for command in (text, [text], ["bash", "-lc", text]):
        with pytest.raises(PatchRefused) as refused:
            shell_form(command)
        assert refused.value.text == (
            "apply_patch verification failed: patch detected without explicit call to apply_patch. "
            'Rerun as ["apply_patch", "<patch>"]'
        )


def test_a_patch_is_not_judged_here() -> None:
    assert shell_form("apply_patch <<'EOF'\nfoo\nEOF\n") == ShellForm(None, "foo")
