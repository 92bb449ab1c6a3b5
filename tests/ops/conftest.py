"""At the end of a run: how many ops, cases and samples were tried, and how many tests failed."""

from tallow.ops import open_all

open_all()  # the table goes through all ops


def pytest_terminal_summary(terminalreporter):
    seen = [
        report
        for kind in ("passed", "failed")
        for report in terminalreporter.stats.get(kind, ())
        if "/ops/test_ops" in report.nodeid.replace("\\", "/")
    ]
    if len(seen) < 10:
        return
    from ops.laws import CASES
    from tallow.registry import OPS

    failed = sum(report.failed for report in seen)
    terminalreporter.write_line(
        f"ops: {len(OPS)}, {len(CASES)} with a case, {len(seen)} laws tried, {failed} broken"
    )
