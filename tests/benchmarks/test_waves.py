"""The table of reported waves: hums are named, waves of the sample are not."""

from stm_experiments.benchmarks import wave_reports


def test_hums_are_named_and_lattices_are_not(monkeypatch):
    monkeypatch.setattr(wave_reports, "AMPLITUDES", (0.1,))
    monkeypatch.setattr(wave_reports, "SAMPLES", ("oblique", "moire"))
    table = wave_reports.report_table(2)
    kinds, _, named, others = ([*column.cells] for column in table.columns)
    named, others = (dict(zip(kinds, cells, strict=True)) for cells in (named, others))
    assert named["hum, 0.1 c"] == "100%"
    assert others["oblique"] == others["moire"] == others["zrte3 without noise"] == "0%"
