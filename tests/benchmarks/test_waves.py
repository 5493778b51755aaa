"""The table of reported waves: hums are named, waves of the sample are not."""

from stm_experiments.benchmarks.waves import reports


def test_hums_are_named_and_lattices_are_not(monkeypatch):
    monkeypatch.setattr(reports, "AMPLITUDES", (0.1,))
    monkeypatch.setattr(reports, "SAMPLES", ("oblique", "moire"))
    monkeypatch.setattr(reports, "CRYSTALS", ("bcc",))
    monkeypatch.setattr(reports, "NOISELESS", ("zrte3",))
    columns = [[*column.cells] for column in reports.report_table(2).columns]
    rows = {kind: shares for kind, _, *shares in zip(*columns, strict=True)}
    assert rows["hum, 0.1 c"][0] == rows["hum, 0.1 c"][2] == "100%"
    assert rows["bcc, paper's striation"][2:] == ["-", "-"]  # its images are of one trace
    for kind in ("oblique", "moire", "zrte3 without noise"):
        assert rows[kind] == ["-", "0%", "-", "0%"]
