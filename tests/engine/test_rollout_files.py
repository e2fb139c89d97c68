"""Thread ids as requests give them."""

from __future__ import annotations

import pytest

from engine.errors import BadRequest
from engine.rollout_files import check_thread_id

ID = "019da010-0000-7000-8000-00000000000f"


@pytest.mark.parametrize("text", [ID, ID.upper(), ID.replace("-", ""), f"urn:uuid:{ID}", f"{{{ID}}}"])
def test_every_form_of_a_uuid_is_read(text: str) -> None:
    assert check_thread_id(text) == ID


@pytest.mark.parametrize("text", ["", "x", ID[:-1], ID + "0", f"{{{ID}", f" {ID}", ID.replace("-", "_")])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match=r"^invalid thread id: "):
        check_thread_id(text)
