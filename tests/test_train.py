import os
import shutil
import time

import pytest
import torch


def outcome(folder):
    state = {
        name: torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)["state_dict"]
        for name in ("best", "last")
    }
    return state, (folder / "metrics.csv").read_bytes(), (folder / "metrics.json").read_bytes()


@pytest.mark.parametrize(
    "source",
    [
        ("data.images_per_epoch=40", "data.patches_per_image=2"),
        ("data.fresh=false",),
    ],
)
def test_resume(train_in, tmp_path, no_figures, monkeypatch, source):
    whole = tmp_path / "whole"
    source = (*source, "checkpoint_minutes=0")
    copies = []
    replace = os.replace

    def copying(a, b):
        replace(a, b)
        if str(b).endswith((".ckpt", ".csv", "config.yaml")):
            copy = tmp_path / f"{len(copies)}_{os.path.basename(b)}"
            shutil.copytree(whole, copy)
            copies.append(copy)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", copying)
        train_in(whole, *source)
    state, csv, json = outcome(whole)
    bad = []
    for copy in copies:
        assert not (copy / "metrics.json").exists() or copy
        (copy / "metrics.json").unlink(missing_ok=True)
        t = time.time()
        try:
            train_in(copy, *source)
        except Exception as e:
            bad.append((copy.name, repr(e)))
            continue
        try:
            s, c, j = outcome(copy)
        except Exception as e:
            bad.append((copy.name, repr(e)))
            continue
        for k in s:
            for n in s[k]:
                if not torch.equal(s[k][n], state[k][n]):
                    bad.append((copy.name, k, n))
                    break
        if c != csv:
            bad.append((copy.name, c.decode(), csv.decode()))
        if j != json:
            bad.append((copy.name, "json"))
    for b in bad:
        print(*b)
    assert not bad
