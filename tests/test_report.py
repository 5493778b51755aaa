import csv
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlparse

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from browser import CHROMIUM, browse
from PIL import Image
from plotly.offline import get_plotlyjs

from stm_experiments.latent.codes_csv import read_latent_csv, write_latent_csv
from stm_experiments.latent.patch_sheet import write_patch_sheet
from stm_experiments.report import main
from stm_experiments.reporting.charts import curve_charts
from stm_experiments.reporting.latent_cloud import RunCodes, latent_cloud
from stm_experiments.reporting.paper import published
from stm_experiments.reporting.paper.table2 import errors_table
from stm_experiments.reporting.report import write_report
from stm_experiments.reporting.result_table import to_csv, to_latex, to_markdown
from stm_experiments.reporting.runs import Run, find_runs
from stm_experiments.reporting.settings import Settings
from stm_experiments.reporting.tables import (
    CODE_COLUMNS,
    baselines_table,
    best_table,
    codes_table,
    runs_table,
    seeds_table,
    times_table,
)

ODD = "7_<b>odd & 'quoted' Ω #1"
FIGURES = ("curves", "latent", "network", "patches", "reconstructions")


def write_run(folder, job, lattice, name, seed=0, scale=1.0, figures=FIGURES):
    """A finished run as train.py leaves it, with numbers of its own."""
    random = np.random.default_rng([job, seed])
    settings = published.CONFIGURATIONS[name]
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
        "noise": {"detector": {"gaussian": 0.3}},
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
        "PCA-10/test/mse_noisy": 0.03,
        "PCA-10/test/mse_clean": 0.031,
        "noisy input/test/mse_noisy": 0.0,
        "noisy input/test/mse_clean": 0.005,
        "floor/test/mse_clean": 1.4e-4,
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
    patches = torch.linspace(-1, 1, 60).view(60, 1, 1, 1).expand(60, 1, 17, 17)
    write_patch_sheet(folder / "latent_patches.png", patches)


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
    troubles = text[text.index('id="troubles"') : text.index("<main>")]
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
            assert float(row["val/loss"]) == run.metrics["val/loss"]
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


def test_intervals_over_seeds_and_speeds_are_right(sweep):
    runs = find_runs(sweep)
    table = seeds_table(runs, Settings(runs))
    seeds, error = table.columns.index("seeds"), table.columns.index("MSE noisy")
    row = next(row for row in table.rows if row[seeds].value == 2)
    values = [r.metrics["test/mse_noisy"] for r in runs if r.about.get("job") in (0, 1)]
    assert row[error].value == pytest.approx(np.mean(values))
    # Student's t for one degree of freedom: 12.706.
    half = 12.706 * np.std(values, ddof=1) / np.sqrt(2)
    assert float(row[error].text.split(" ± ")[1]) == pytest.approx(half, abs=1e-5)
    table = times_table(runs, Settings(runs))
    row = dict(zip(table.columns, table.rows[0], strict=True))
    speed = row["paper's patches/s"].value
    assert speed == pytest.approx(52 * 3000 * 100 / 148.3)
    assert row["our speed / theirs"].value == pytest.approx(9000 / speed)


def test_what_codes_contain_is_compared_with_untrained_networks(sweep):
    run = next(run for run in find_runs(sweep) if run.finished)
    scores = {
        "CAE-A": {"single/probe": 0.33, "pooled/probe": 0.90, "invariance/turns": 0.5},
        "untrained": {"single/probe": 0.30, "pooled/probe": 0.93, "invariance/turns": 0.4},
    }
    (run.folder / "latent.json").write_text(json.dumps(scores), encoding="utf-8")
    runs = find_runs(sweep)
    rows = codes_table(runs, Settings(runs)).rows
    assert [row[1].text for row in rows] == ["CAE-A", "untrained"]
    best = {"probe, one patch": 0, "probe, pooled": 1, "change by quarter turns": 1}
    for place, column in enumerate(CODE_COLUMNS, 2):
        if column.heading in best:
            assert [row[place].bold for row in rows].index(True) == best[column.heading]
    page = write_report(find_runs(sweep), sweep, sweep / "report")
    text = " ".join(page.read_text(encoding="utf-8").split())
    assert "training is not the reason that codes tell the lattices apart" in text


def test_the_untouched_input_is_best_only_against_clean(sweep):
    runs = find_runs(sweep)
    table = baselines_table(runs, Settings(runs))
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    rows = [row for row in rows if row["lattice"].text == "sc"]
    noisy = next(row for row in rows if row["what"].text == "noisy input")
    assert not noisy["MSE noisy"].bold
    assert noisy["MSE clean"].bold
    assert rows[-1]["MSE clean"].value == 1.4e-4
    assert not rows[-1]["MSE clean"].bold


def test_tables_are_escaped_for_markdown_and_latex(sweep):
    runs = find_runs(sweep)
    table = runs_table(runs, Settings(runs), lambda run: "x")
    assert r"odd \& 'quoted'" in to_latex(table)
    assert r"8\_wrong" in to_latex(table)
    assert all(
        line.count("&") - line.count(r"\&") in (0, table.width - 1)
        for line in to_latex(table).split("\n")
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

    monkeypatch.setattr(page, "IMAGE_BYTES", 3_000)
    for job, lattice in enumerate(published.LATTICES):
        write_run(tmp_path / f"{job}_{lattice}", job, lattice, "baseline")
    (tmp_path / "0_sc" / "figures" / "network.png").write_bytes(b"no picture")
    write_report(find_runs(tmp_path), tmp_path, tmp_path / "report")
    text = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert 0 < text.count("data:image/webp") < 6
    assert "2_fcc/figures/reconstructions.png" in text


def test_latent_points_of_the_runs_are_in_the_cloud(sweep):
    tables = [pd.DataFrame(read_latent_csv(path)) for path in sorted(sweep.glob("*/latent.csv"))]
    cloud = latent_cloud([RunCodes(f"run {i} <b>", table) for i, table in enumerate(tables)])
    assert len(cloud["traces"]) == 8
    for trace, table in zip(cloud["traces"], tables, strict=True):
        np.testing.assert_allclose(trace["x"], table["pc1"], rtol=1e-3)
        np.testing.assert_allclose(trace["z"], table["pc3"], rtol=1e-3)
        assert len(trace["x"]) == 60
    # The azimuth is unknown, and all points of a run are of one lattice.
    assert list(cloud["colours"]) == ["image", "tilt"]
    np.testing.assert_allclose(cloud["colours"]["tilt"][0]["color"], tables[0]["tilt"], atol=1e-6)
    assert cloud["traces"][0]["text"][10] == "image 1<br>tilt 0.169"


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


def vary(folder, job, lattice="fcc", seed=0, **settings):
    """A run of no experiment of the paper, with settings of its own."""
    write_run(folder, job, lattice, "baseline", seed, figures=())
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    config["model"]["optimizer"]["lr"] = settings.get("lr", 0.005)
    config["model"]["net"]["latent"] = settings.get("latent", 10)
    config["noise"] = settings.get("noise", {"a": 1.0})
    config["data"]["noise"] = dict(config["noise"])
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    choices = {"lattice": lattice, "noise": settings.get("name", "paper"), "model": "cae_a"}
    write_about(folder, job, [f"lattice={lattice}"], status="finished", choices=choices)


def test_settings_that_differ_are_columns_and_what_runs_share_is_said_once(tmp_path):
    for job, (lr, latent) in enumerate([(0.1, 5), (0.01, 5), (0.1, 10), (0.1, 10)]):
        vary(tmp_path / str(job), job, lr=lr, latent=latent)
    vary(tmp_path / "4", 4, noise={"b": 2.0}, name="none", lr=0.1)
    runs = find_runs(tmp_path)
    settings = Settings(runs)
    assert settings.names == ["noise"]
    assert list(settings.headings.values()) == ["lr", "latent"]
    assert settings.numeric == settings.keys
    assert settings.label(runs[0]) == "lr 0.1, latent 5"
    assert [len(members) for members in settings.tasks.values()] == [1, 4]
    table = runs_table(runs, settings, lambda run: "x")
    assert table.columns[:5] == ("run", "status", "noise", "lr", "latent")
    assert [row[4].value for row in table.rows] == [5, 5, 10, 10, 10]
    page = write_report(runs, tmp_path, tmp_path / "report")
    text = page.read_text(encoding="utf-8")
    lead = " ".join(text[text.index('class="lead"') : text.index("</header>")].split())
    assert "5 runs train CAE-A on fcc with noise paper and none." in lead
    assert "They differ in lr (0.01, 0.1), latent (5, 10)." in lead
    assert "in each of 2 tasks" in lead
    assert "Beside the paper" not in text
    assert "Binev" not in text


def test_the_best_is_named_by_the_metric_that_is_optimised_and_seeds_by_their_mean(tmp_path):
    results = {(0.1, 0): 1.0, (0.1, 1): 9.0, (0.01, 0): 3.0, (0.01, 1): 4.0}
    for job, ((lr, seed), result) in enumerate(results.items()):
        folder = tmp_path / f"{job}_run"
        vary(folder, job, lr=lr, seed=seed)
        metrics = json.loads((folder / "metrics.json").read_text())
        (folder / "metrics.json").write_text(json.dumps(metrics | {"val/loss": result}))
    shutil.copytree(tmp_path / "3_run", tmp_path / "4_again")  # counts once
    runs = find_runs(tmp_path)
    settings = Settings(runs)
    (row,) = best_table(settings, lambda run: run.folder.name).rows
    assert [cell.text for cell in row[1:3]] == ["4", "lr 0.01, 2 seeds"]
    assert row[2].link == "2_run"
    assert row[3].value == 3.5
    assert row[4].text == "PCA-10 0.03000"
    page = write_report(runs, tmp_path, tmp_path / "report").read_text(encoding="utf-8")
    lead = " ".join(page[page.index('class="lead"') : page.index("</header>")].split())
    assert "One repeats another run and does not count." in lead
    assert "the noisy patch) is lr 0.01, 2 seeds: 3.5 ± 6.4." in lead  # 12.706 x .5
    assert [row[2].value for row in seeds_table(runs, settings).rows] == [5.0, 3.5]


def test_losses_of_different_kinds_share_no_task_and_no_axis(tmp_path):
    vary(tmp_path / "0", 0)
    vary(tmp_path / "1", 1, lr=0.1)
    about = json.loads((tmp_path / "1" / "run.json").read_text())
    (tmp_path / "1" / "run.json").write_text(json.dumps(about | {"loss": "nats per patch <b>"}))
    runs = find_runs(tmp_path)
    settings = Settings(runs)
    assert len(settings.tasks) == 2
    charts = curve_charts(runs, settings)
    labels = {chart.layout["yaxis"]["title"]["text"]: chart for chart in charts}
    assert set(labels) == {
        "nats per patch &lt;b&gt;",
        "mean squared error per px against<br>the noisy patch",
    }
    assert (
        "shapes" not in labels["nats per patch &lt;b&gt;"].layout
    )  # PCA's error is another measure
    (line,) = labels["mean squared error per px against<br>the noisy patch"].layout["shapes"]
    assert line["y0"] == 0.03


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_the_page_works_in_a_narrow_browser_without_asking_for_anything(page):
    point = """
    const cloud = document.getElementById("cloud");
    cloud.showPatch(7);
    const canvas = document.getElementById("patch");
    probe.patch = [canvas.hidden, canvas.getContext("2d").getImageData(60, 60, 1, 1).data[0]];
    """
    probe = browse(page, 400, action=point)
    assert probe["errors"] == []
    assert probe["violations"] == []
    assert probe["requests"] == []
    assert probe["width"] == probe["window"] == 400  # nothing to scroll sideways
    assert probe["drawn"] == probe["places"] > 3
    hidden, grey = probe["patch"]
    assert not hidden
    assert abs(grey - 7 / 59 * 255) < 8  # the compression changes it a little


def test_a_page_of_500_runs_stays_small(tmp_path):
    points = [(float(epoch), 0.02 + 0.1 / epoch) for epoch in range(1, 101)]
    runs = []
    for job in range(500):
        lattice, rate = ("sc", "bcc", "fcc", "hex1")[job % 4], 1e-4 * 1.01**job
        config = {
            "lattice": {lattice: {}},
            "data": {"_target_": "stm_experiments.data.SimulatedData", "noise": {"a": 1.0}},
            "model": {"net": {"_target_": "CAEA"}, "optimizer": {"lr": rate}},
        }
        about = {"status": "finished", "job": job, "choices": {"noise": f"n{job % 3}"}}
        metrics = {"val/loss": 0.02 + 1e-5 * job, "PCA-10/test/mse_noisy": 0.03}
        curves = {"val/loss": points, "train/loss": points}
        runs.append(Run(tmp_path / f"{job}_run", about, metrics, config, curves, {}, {}))
    page = write_report(runs, tmp_path, tmp_path / "report")
    assert page.stat().st_size < 8_000_000  # thumbnails take 3.5 MB at most
    text = page.read_text(encoding="utf-8")
    assert (
        len(re.findall(r'href="../\d+_run"', text)) == 500 + 12
    )  # a row each, and the best of each task
    assert "6 more charts" in text
    assert "The 12 best of 42 settings" in text


def test_a_single_run_on_one_image_invents_no_interval_and_no_spread(tmp_path):
    vary(tmp_path / "run", 0)
    path = tmp_path / "run" / "metrics.json"
    metrics = json.loads(path.read_text())
    path.write_text(json.dumps({k: v for k, v in metrics.items() if not k.endswith("_ci95")}))
    page = write_report(find_runs(tmp_path / "run"), tmp_path / "run", tmp_path / "report")
    text = page.read_text(encoding="utf-8")
    assert "This run trains CAE-A on fcc with noise paper. It ends at val/loss " in text
    assert "test images: one alone, so without intervals" in text
    body = text[text.index("<main>") : text.index("</main>")]
    assert not re.search(r"\d ± \d", body)
    for words in ("The best of each task", "Means over seeds", "All runs", "What the settings"):
        assert words not in body


def test_the_papers_runs_are_named_and_their_numbers_are_those_of_their_files(tmp_path):
    folder = Path(__file__).parent.parent / "docs" / "data" / "paper_published"
    runs = find_runs(folder)
    page = write_report(runs, folder, tmp_path / "report")
    text = page.read_text(encoding="utf-8")
    assert "All are configurations of Binev et al." in text
    assert "Beside the paper" in text
    assert "paper&#39;s claims" in text or "The paper's claims" in text
    with (tmp_path / "report" / "best.csv").open(encoding="utf-8") as file:
        best = {row["task"]: row for row in csv.DictReader(file)}
    assert len(runs) == 21
    for lattice in ("sc", "bcc", "fcc"):
        losses = [run.metrics["val/loss"] for run in runs if run.lattice == lattice]
        assert float(best[lattice]["val/loss"]) == min(losses)
        assert best[lattice]["best run"] == "small_batch"
