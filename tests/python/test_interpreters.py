"""Interpreters other than the main one are refused."""

from __future__ import annotations

import pytest

from support import check_script

SUBINTERPRETER = """
import sys
try:
    import _interpreters as interpreters
    create = {"legacy": lambda: interpreters.create("legacy"),
              "isolated": lambda: interpreters.create("isolated")}
except ImportError:
    import _xxsubinterpreters as interpreters
    create = {"legacy": lambda: interpreters.create(isolated=False),
              "isolated": lambda: interpreters.create(isolated=True)}

import os
if MAIN_FIRST:
    import zoocache
    zoocache.cacheable(lambda: 1)()
read_end, write_end = os.pipe()
interpreter = create[KIND]()
interpreters.run_string(interpreter, f'''
import os, sys
sys.path[:] = {sys.path!r}
try:
    import zoocache
except ImportError as error:
    text = "refused: " + str(error)
except BaseException as error:
    text = "wrong: " + repr(error)
else:
    text = "imported"
os.write({write_end}, text.encode())
''')
print(os.read(read_end, 10_000).decode())
interpreters.destroy(interpreter)
import zoocache
assert zoocache.cacheable(lambda: 1)() == 1
"""


@pytest.mark.parametrize("kind", ["legacy", "isolated"])
@pytest.mark.parametrize("main_first", [True, False], ids=["after main", "before main"])
def test_other_interpreters_are_refused(kind: str, main_first: bool) -> None:
    out = check_script(f"KIND = {kind!r}\nMAIN_FIRST = {main_first}\n" + SUBINTERPRETER)
    assert out.startswith("refused: "), out
    assert "interpreter" in out
