"""No method of the native Array ends the process, whatever it is given."""

from pathlib import Path

from alone import run_alone


def test_nonsense_is_refused():
    assert int(run_alone(str(Path(__file__).with_name("array_methods.py")))) > 10000


def test_nonsensical_definitions_are_refused():
    assert int(run_alone(str(Path(__file__).with_name("op_definitions.py")))) > 30
