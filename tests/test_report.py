import csv
import json
import re
import shutil
from html.parser import HTMLParser
from urllib.parse import unquote, urlparse

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image
from plotly.offline import get_plotlyjs

from stm_experiments.latent.codes_csv import read_latent_csv, write_latent_csv
from stm_experiments.report import main
from stm_experiments.reporting import paper
from stm_experiments.reporting.latent_cloud import RunCodes, latent_cloud
from stm_experiments.reporting.report import write_report
from stm_experiments.reporting.result_table import to_csv, to_latex, to_markdown
from stm_experiments.reporting.runs import find_runs
from stm_experiments.reporting.summary import (
    CODE_COLUMNS,
    baselines_table,
    codes_table,
    errors_table,
    runs_table,
    seeds_table,
    times_table,
)

ODD = "7_<b>odd & 'quoted' Ω #1"
FIGURES = ("curves", "latent", "network", "patches", "reconstructions")


def write_run(folder, job, lattice, name, seed=0, scale=1.0, figures=FIGURES):
    """A finished run as train.py leaves it, with numbers of its own."""
    random = np.random.default_rng([job, seed])
    settings = paper.CONFIGURATIONS[name]
    epochs = max(1, round(settings.epochs * scale))
    folder.mkdir(parents=True)
    config = {
        "lattice": {lattice: {"spread": 10.0}},
        "data": {
            "_target_": "stm_experiments.data.SimulatedData",
            "preset": "published",
            "fraction": scale,
            "batch_size": settings.batch_size,
            "patches_per_image": settings.patches_per_image,
            "noise": {"detector": {"gaussian": 0.3}},
            "fresh": False,
            "augment": False,
            "seed": seed,
        },
        "model": {
            "net": {"_target_": "stm_experiments.models.CAEA"},
            "optimizer": {"lr": settings.rate},
            "scheduler": {"_target_": "torch.optim.lr_scheduler.StepLR"}
            if settings.decays
            else None,
        },
        "trainer": {"max_epochs": epochs},
        "seed": seed,
        "scale": scale,
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    last = 0.02 + 0.004 * random.random()
    losses = last + 0.05 / np.arange(1, epochs + 1) + 0.0002 * random.random(epochs)
    with (folder / "metrics.csv").open("w", encoding="utf-8") as file:
        file.write("epoch,step,train/loss,val/loss,lr\n")
        for epoch, loss in enumerate(losses.tolist(), 1):
            file.write(f"{epoch},{10 * epoch},{loss},{1.05 * loss},0.001\n")
    metrics = {
        "test/mse_noisy": last + 0.001,
        "test/mse_noisy_ci95": 0.0005,
        "test/mse_clean": last - 0.001,
        "test/mse_clean_ci95": 0.0004,
        "test/psnr_clean": 22.5,
        "test/ssim_noisy": 0.8 + 0.1 * random.random(),
        "test/ssim_clean": 0.85,
        "test/ssim_paper": 0.8 + 0.1 * random.random(),
        "test/ssim_paper_ci95": 0.01,
        "baselines/PCA-10/mse_noisy": 0.03,
        "baselines/PCA-10/mse_clean": 0.031,
        "baselines/noisy input/mse_noisy": 0.0,
        "baselines/noisy input/mse_clean": 0.005,
        "floor/mse_clean": 1.4e-4,
        "train/loss": float(losses[-1]),
        "val/loss": float(1.05 * losses[-1]),
        "val/best_loss": float(1.05 * losses.min()),
    }
    (folder / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    overrides = [f"experiment=paper_{name}", f"lattice={lattice}", f"seed={seed}"]
    write_about(folder, job, overrides, status="finished", seconds=100.0 + job)
    statistic = {
        "mse": {"mean": last, "p05": 0.013, "p95": 0.028},
        "ssim": {"mean": 0.85, "p05": 0.74, "p95": 0.93},
    }
    (folder / "three_patches.json").write_text(json.dumps(statistic), encoding="utf-8")
    for figure in figures:
        (folder / "figures").mkdir(exist_ok=True)
        pixels = random.integers(0, 256, (30, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "figures" / f"{figure}.png")
    codes = torch.from_numpy(random.normal(size=(60, 10)))
    orientation = torch.full((60, 3), torch.nan)
    orientation[:, 1] = torch.linspace(0, 1, 60)
    write_latent_csv(
        folder / "latent.csv", codes, [lattice] * 60, torch.arange(60) // 10, orientation
    )


def write_about(folder, job, overrides, **about):
    defaults = {
        "job": job,
        "overrides": overrides,
        "versions": {"python": "3.11.7", "torch": "2.13.0"},
        "git_commit": "0123456789ab",
        "device": "CPU",
        "threads": 1,
        "train_seconds": 90.5,
        "patches_per_second": 9000.0,
    }
    (folder / "run.json").write_text(json.dumps({**defaults, **about}), encoding="utf-8")


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """Six finished runs (two seeds of one), a failed, an interrupted and a refused job."""
    folder = tmp_path_factory.mktemp("sweep of runs")
    (folder / "multirun.yaml").touch()
    jobs = [
        ("sc", "baseline", 0),
        ("sc", "baseline", 1),
        ("sc", "lower_lr", 0),
        ("bcc", "baseline", 0),
        ("fcc", "baseline", 0),
        ("fcc", "lower_lr", 0),
    ]
    for job, (lattice, name, seed) in enumerate(jobs):
        write_run(folder / f"{job}_{name}_{lattice}_{seed}", job, lattice, name, seed)
    failed = folder / ODD
    write_run(failed, 7, "bcc", "lower_lr")
    (failed / "metrics.json").unlink()
    about = {"status": "failed: the loss is nan & <script>alert(1)</script>"}
    write_about(failed, 7, ["experiment=paper_lower_lr", "lattice=bcc"], **about)
    refused = folder / "8_wrong"
    refused.mkdir()
    (refused / "train.log").write_text("refused", encoding="utf-8")
    killed = folder / "9_killed"
    write_run(killed, 9, "sc", "lr_decay")
    (killed / "metrics.json").unlink()
    write_about(killed, 9, ["experiment=paper_lr_decay", "lattice=sc"], status="running")
    return folder


@pytest.fixture(scope="module")
def page(sweep):
    write_report(find_runs(sweep), sweep, sweep / "report")
    return sweep / "report" / "index.html"


class Links(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.targets, self.ids, self.images = [], set(), 0
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.targets += [attributes[key] for key in ("href", "src") if key in attributes]
        self.ids.add(attributes.get("id"))
        self.images += tag == "img"


def test_the_page_asks_nothing_of_a_network_and_all_its_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    assert "Content-Security-Policy\" content=\"default-src 'none'" in text
    assert text.count(get_plotlyjs()) == 1
    text = text.replace(get_plotlyjs(), "")  # has addresses of maps that this page does not draw
    assert not re.search(r"https?:|//\w+\.\w+/|@import|url\(", re.sub(r"base64,\S+", "", text))
    links = Links(text)
    assert len(links.targets) > 30
    for link in links.targets:
        if link.startswith("#"):
            assert link[1:] in links.ids
        elif not link.startswith("data:"):
            parts = urlparse(link)
            assert not parts.scheme
            assert not parts.netloc
            assert (page.parent / unquote(parts.path)).exists(), link
    assert page.stat().st_size < 10_000_000


def test_odd_names_are_text_and_never_markup(page):
    text = page.read_text(encoding="utf-8")
    assert "&lt;b&gt;odd &amp; &#39;quoted&#39;" in text
    assert "<b>odd" not in text
    assert "<script>alert" not in text


def test_failed_missing_and_interrupted_jobs_are_named_with_their_reasons(page):
    text = page.read_text(encoding="utf-8")
    troubles = text[text.index('id="troubles"') : text.index("<dl>")]
    assert "failed: the loss is nan &amp; &lt;script&gt;" in troubles
    assert "9_killed: unfinished" in troubles
    assert "8_wrong: without run.json" in troubles
    assert "job 6: no folder" in troubles
    assert "lr_decay on bcc: no run" in troubles
    assert "6 finished, 1 failed" in text


def test_the_tables_hold_the_numbers_of_the_files(sweep, page):
    runs = find_runs(sweep)
    with (page.parent / "runs.csv").open(encoding="utf-8") as file:
        rows = {row["run"]: row for row in csv.DictReader(file)}
    assert len(rows) == 9
    for run in runs:
        if run.finished:
            row = rows[run.folder.name]
            assert float(row["MSE noisy"]) == run.metrics["test/mse_noisy"]
            assert float(row["MSE noisy high"]) == run.metrics["test/mse_noisy"] + 0.0005
            assert float(row["val. loss"]) == run.metrics["val/loss"]
            assert float(row["PCA-10 MSE noisy"]) == 0.03
    table = errors_table(runs)
    assert len(table.rows) == 21
    both = [run for run in runs if run.about.get("job") in (0, 1)]
    first = table.rows[0]
    assert [cell.text for cell in first[:5]] == [
        "sc", "Baseline", "0.0156", "0.8917", "0.0208"
    ]  # fmt: skip
    mean = np.mean([run.three_patches["mse"]["mean"] for run in both])
    assert first[5].text == f"{mean:.4f} (0.0130\N{EN DASH}0.0280)"
    assert first[7].value == pytest.approx(np.mean([r.metrics["test/mse_noisy"] for r in both]))
    assert first[9].value == pytest.approx(np.mean([r.metrics["val/loss"] for r in both]))
    assert first[10].value == 2
    best = [row[1].text for row in table.rows[:7] if row[2].bold]
    assert best == ["More Patches"]
    assert table.rows[2][7].note == "no finished run"
    html = page.read_text(encoding="utf-8")
    for row in table.rows:
        for cell in row:
            assert cell.value is None or f'data-v="{cell.value!r}"' in html


def test_spreads_over_seeds_and_speeds_are_right(sweep):
    runs = find_runs(sweep)
    row = next(row for row in seeds_table(runs).rows if row[3].value == 2)
    values = [r.metrics["test/mse_noisy"] for r in runs if r.about.get("job") in (0, 1)]
    assert row[4].value == pytest.approx(np.mean(values))
    assert row[4].text.endswith(f"± {np.std(values, ddof=1):.5f}")
    row = times_table(runs).rows[0]
    assert row[10].value == pytest.approx(52 * 3000 * 100 / 148.3)
    assert row[11].value == pytest.approx(9000 / row[10].value)


def test_what_codes_contain_is_compared_with_untrained_networks(sweep):
    run = next(run for run in find_runs(sweep) if run.finished)
    scores = {
        "CAE-A": {"single/probe": 0.33, "pooled/probe": 0.90, "invariance/turns": 0.5},
        "untrained": {"single/probe": 0.30, "pooled/probe": 0.93, "invariance/turns": 0.4},
    }
    (run.folder / "latent.json").write_text(json.dumps(scores), encoding="utf-8")
    rows = codes_table(find_runs(sweep)).rows
    assert [row[2].text for row in rows] == ["CAE-A", "untrained"]
    best = {"probe, one patch": 0, "probe, pooled": 1, "change by quarter turns": 1}
    for place, column in enumerate(CODE_COLUMNS, 3):
        if column.heading in best:
            assert [row[place].bold for row in rows].index(True) == best[column.heading]
    page = write_report(find_runs(sweep), sweep, sweep / "report")
    text = " ".join(page.read_text(encoding="utf-8").split())
    assert "training is not the reason that codes tell the lattices apart" in text


def test_the_untouched_input_is_best_only_against_clean(sweep):
    rows = [row for row in baselines_table(find_runs(sweep)).rows if row[0].text == "sc"]
    noisy = next(row for row in rows if row[1].text == "noisy input")
    assert not noisy[2].bold
    assert noisy[3].bold
    assert rows[-1][3].value == 1.4e-4
    assert not rows[-1][3].bold


def test_tables_are_escaped_for_markdown_and_latex(sweep):
    table = runs_table(find_runs(sweep), lambda run: "x")
    assert r"odd \& 'quoted'" in to_latex(table)
    assert r"8\_wrong" in to_latex(table)
    assert all(
        line.count("&") - line.count(r"\&") in (0, 14) for line in to_latex(table).split("\n")
    )
    for text in (to_markdown(table), to_markdown(errors_table(find_runs(sweep)))):
        widths = {line.count(" | ") for line in text.splitlines()}
        assert len(widths) == 1
    assert to_csv(table).count("\n") == 10


def test_a_single_miniature_says_so_and_claims_stay_open(tmp_path):
    write_run(tmp_path / "run", 0, "sc", "baseline", scale=0.04)
    write_report(find_runs(tmp_path / "run"), tmp_path / "run", tmp_path / "report")
    text = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "Miniatures." in text
    assert "Not decidable at this scale (scale 0.04)" in text
    assert 'class="not-decidable"' in text
    assert 'class="held"' not in text
    assert 'class="not-held"' not in text


def test_thumbnails_stop_before_the_page_is_too_large(tmp_path, monkeypatch):
    from stm_experiments.reporting import page

    monkeypatch.setattr(page, "IMAGE_BYTES", 40_000)
    for job, lattice in enumerate(paper.LATTICES):
        write_run(tmp_path / f"{job}_{lattice}", job, lattice, "baseline")
    (tmp_path / "0_sc" / "figures" / "network.png").write_bytes(b"no picture")
    write_report(find_runs(tmp_path), tmp_path, tmp_path / "report")
    text = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert len(re.findall("base64,", text)) < 5
    assert "2_fcc/figures/reconstructions.png" in text


def test_latent_points_of_all_runs_are_in_the_cloud(sweep, page):
    text = page.read_text(encoding="utf-8")
    assert 'id="cloud"' in text
    tables = [pd.DataFrame(read_latent_csv(path)) for path in sorted(sweep.glob("*/latent.csv"))]
    figure = latent_cloud([RunCodes(f"run {i} <b>", table) for i, table in enumerate(tables)])
    # The interrupted runs left theirs too.
    assert len(figure.data) == 8
    assert [trace.visible for trace in figure.data] == [True] + [False] * 7
    for trace, table in zip(figure.data, tables, strict=True):
        np.testing.assert_allclose(trace.x, table["pc1"], rtol=1e-6)
        np.testing.assert_allclose(trace.z, table["pc3"], rtol=1e-6)
        assert len(trace.x) == 60
    runs, colours = figure.layout.updatemenus
    assert [button.label for button in runs.buttons] == [f"run {i} &lt;b&gt;" for i in range(8)]
    # The azimuth is unknown.
    names = ["lattice", "image", "tilt"]
    assert [button.label for button in colours.buttons] == [f"coloured by {n}" for n in names]
    assert list(figure.data[0].marker.colorbar.ticktext) == ["sc"]
    markers = colours.buttons[2].args[0]["marker"]
    np.testing.assert_allclose(markers[0]["color"], tables[0]["tilt"], atol=1e-6)


def test_the_command_writes_beside_the_runs_and_refuses_in_one_sentence(sweep, tmp_path, command):
    target = tmp_path / "elsewhere"
    code, out, errors = command(main, f"runs={sweep}", f"hydra.run.dir={target}")
    assert code == 0, errors
    assert "6 of 9 runs finished" in out
    assert (target / "index.html").is_file()
    assert (target / "table2.tex").is_file()
    run = sweep / ODD
    code, out, errors = command(main, f"runs={run}")
    assert code == 0, errors
    assert (run / "report" / "index.html").is_file()
    shutil.rmtree(run / "report")
    for arguments in ([f"runs={tmp_path}/typo"], [f"runs={target}"], []):
        code, _, errors = command(main, *arguments)
        assert code == 1
        assert errors.count("\n") == 1
        assert "runs" in errors
    assert not (tmp_path / "typo").exists()


def test_paths_are_relative_to_where_the_page_stands(sweep, tmp_path):
    write_report(find_runs(sweep), sweep, tmp_path / "deep" / "er")
    text = (tmp_path / "deep" / "er" / "index.html").read_text(encoding="utf-8")
    for link in Links(text).targets:
        if not link.startswith(("#", "data:")):
            assert (tmp_path / "deep" / "er" / unquote(link)).exists()


def test_what_all_runs_have_in_common_is_said_once(tmp_path):
    for job, lattice in enumerate(("sc", "fcc")):
        write_run(tmp_path / str(job), job, lattice, "baseline", figures=())
        overrides = [f"lattice={lattice}", "data.size=96", f"model.net.latent={job}"]
        (tmp_path / str(job) / "config.yaml").write_text(f"lattice: {{{lattice}: {{}}}}")
        write_about(tmp_path / str(job), job, overrides, status="finished")
    assert [run.label for run in find_runs(tmp_path)] == ["latent=0", "latent=1"]
    write_report(find_runs(tmp_path), tmp_path, tmp_path / "report")
    text = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert text.count("data.size=96") == 1
    assert "The paper's claims" not in text
