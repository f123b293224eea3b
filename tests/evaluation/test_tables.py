"""The table of quality against steps: it belongs to the shipped weights, and can be made again row by row."""

import json
import math
import os
from pathlib import Path

import pytest
import torch

from mpl_diffusion import load, load_table, models
from mpl_diffusion.__main__ import main
from mpl_diffusion.evaluation import tables
from mpl_diffusion.evaluation.digits import floor_at
from mpl_diffusion.evaluation.tables import SPACED, STEPS, Row, Walk, rows_of, walks, weights


@pytest.fixture(scope="module")
def table():
    return load_table("ddim")


# ----------------------------------------------------------------------------------- the shipped table


def test_it_was_measured_with_the_shipped_weights_and_says_how(table):
    assert table.facts["weights"] == weights()
    assert {"command", "torch", "machine"} <= table.facts.keys()
    assert table.facts["precision"] == "bfloat16"
    options = "--n 5000 --precision bfloat16 --compile --threads 1"
    assert table.facts["command"] == f"python -m mpl_diffusion measure ddim {options}"


def test_every_walk_is_there_once(table):
    whole = [row for row in table.rows if row.last]
    assert sorted(map(str, (Walk(*row[:4]) for row in whole))) == sorted(map(str, walks()))


def test_each_row_has_its_number_of_images_and_of_evaluations(table):
    for row in table.rows:
        assert row.n == (5000 if row.steps <= 100 else 2000) and table.floors[row.n] == floor_at(row.n)
        assert row.evaluations == (2 * row.steps - 1 if row.sampler == "heun" else row.steps) - (not row.last)
        assert row.frechet > 0 and 0 < row.std < row.frechet and row.seconds > 0
        assert 0 <= min(row.precision, row.recall, row.accuracy) <= max(row.precision, row.recall, row.accuracy) <= 1


def test_the_plan_has_all_steps_for_every_eta_and_both_variances():
    plan = walks()
    assert {(w.steps, w.eta) for w in plan if w.sampler == "ddim" and w.spacing == "trailing"} == {
        (S, eta) for S in (1, 2, 5, 10, 20, 50, 100, 200, 1000) for eta in (0.0, 0.5, 1.0)
    }
    assert {w.steps for w in plan if w.sampler == "ddpm"} == set(STEPS)  # sigma^2 = beta; eta = 1 has beta_tilde
    assert {w.sampler for w in plan} == {"ddim", "ddpm", "dpm_solver", "heun"}
    assert len(set(plan)) == len(plan)
    assert [w.steps > 100 for w in plan] == sorted(w.steps > 100 for w in plan)  # what takes longest comes last
    assert {w.steps for w in plan[-4:]} == {1000}


@pytest.mark.long
def test_a_row_comes_out_again(table):
    """In float32: in bfloat16, as on other processors, each digit is rounded a little otherwise.

    With two steps no digit has time to become another one. The distance agrees within a fifth of its std.
    """
    walk = Walk("ddim", 2, 1.0)
    (row,) = rows_of(walk, load("mnist"), 5000)
    (stored,) = (r for r in table.rows if r.last and Walk(*r[:4]) == walk)
    assert row.frechet == pytest.approx(stored.frechet, abs=0.2 * stored.std)
    for share in ("precision", "recall", "accuracy"):
        assert getattr(row, share) == pytest.approx(getattr(stored, share), abs=0.02)


def test_pick_finds_rows_by_what_they_are(table):
    rows = table.pick(sampler="ddim", eta=0.0)
    assert [row.steps for row in rows] == list(STEPS) and {row.spacing for row in rows} == {"trailing"}
    assert [row.steps for row in table.pick(sampler="ddim", eta=0.0, spacing="leading", last=False)] == list(SPACED)
    (one,) = table.pick(sampler="heun", steps=5)
    assert one.evaluations == 9
    with pytest.raises(ValueError, match="a row has no color; it has sampler, steps"):
        table.pick(color="red")


def test_distances_are_in_floors_and_nan_where_nothing_was_measured(table):
    distances, stds = table.distances([5, 3, 200], sampler="ddim", eta=0.0)
    five, long = (row for row in table.pick(sampler="ddim", eta=0.0) if row.steps in (5, 200))
    few, many = table.floors[2000].even, table.floors[5000].even
    assert few > 1.1 * many and (five.n, long.n) == (5000, 2000)  # each row is measured against its own floor
    assert distances[::2] == [five.frechet / many, long.frechet / few]
    assert stds[::2] == [five.std / many, long.std / few]
    assert math.isnan(distances[1]) and math.isnan(stds[1])
    assert table.distances([1000], sampler="ddim", eta=1.0)[0] == [table.pick(eta=1.0)[-1].frechet / few]


# ----------------------------------------------------------------------------------- making it


@pytest.fixture
def two_walks(monkeypatch):
    plan = [Walk("ddim", 1, 0.0), Walk("ddim", 10, 1.0, "leading"), Walk("heun", 1)]
    monkeypatch.setattr(tables, "walks", lambda: plan)
    return plan


def test_the_command_writes_a_table_and_goes_on_where_it_stopped(two_walks, tmp_path, monkeypatch, capsys):
    file = tmp_path / "new" / "ddim.json"
    command = ["measure", "ddim", "--n", "100", "--out", str(file)]
    run, done = rows_of, []

    def interrupted(walk, denoiser, n, precision):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(walk)
        return run(walk, denoiser, n, precision)

    monkeypatch.setattr(tables, "rows_of", interrupted)
    with pytest.raises(KeyboardInterrupt):
        main(command)
    first = load_table(file)
    assert [Walk(*row[:4]) for row in first.rows] == [two_walks[0], two_walks[1], two_walks[1]]
    assert [(row.last, row.evaluations) for row in first.rows[1:]] == [(True, 10), (False, 9)]
    assert main(command) == 1 and f"{file} is there already: go on with --resume" in capsys.readouterr().err
    assert main([*command, "--resume", "--n", "200"]) == 1
    assert "holds rows of 100 images; go on with --n 100" in capsys.readouterr().err
    assert main([*command, "--resume", "--precision", "bfloat16"]) == 1
    assert "was measured in float32; go on with --precision float32" in capsys.readouterr().err
    done.clear()
    assert main([*command, "--resume"]) == 0
    assert done == [two_walks[2]] and load_table(file).rows[:3] == first.rows and len(load_table(file).rows) == 4
    assert [path.name for path in file.parent.iterdir()] == ["ddim.json"]


def test_long_walks_have_fewer_images_and_the_facts_name_the_precision(tmp_path, monkeypatch):
    asked = []

    def row(walk, denoiser, n, precision):
        asked.append((walk.steps, n, precision))
        return [Row(*walk, True, n, walk.steps, 3.0, 0.5, 0.8, 0.9, 0.95, 1.0)]

    monkeypatch.setattr(tables, "rows_of", row)
    monkeypatch.setattr(tables, "walks", lambda: [Walk("ddim", 100, 0.0), Walk("ddim", 200, 0.0)])
    assert main(["measure", "ddim", "--precision", "bfloat16", "--out", str(tmp_path / "t.json")]) == 0
    assert asked == [(100, 5000, "bfloat16"), (200, 2000, "bfloat16")]
    made = load_table(tmp_path / "t.json")
    assert made.facts["precision"] == "bfloat16" and list(made.floors) == [5000, 2000]
    assert made.facts["command"] == "python -m mpl_diffusion measure ddim --n 5000 --precision bfloat16"


def test_a_precision_is_what_the_network_computes_in(monkeypatch):
    """bfloat16 rounds to 8 bits: other digits, but not by much; another word is refused."""
    denoiser, walk = load("mnist"), Walk("ddim", 2, 0.0)
    single, half = (rows_of(walk, denoiser, 100, precision)[0] for precision in ("float32", "bfloat16"))
    assert single.frechet != half.frechet and half.frechet == pytest.approx(single.frechet, abs=0.5 * single.std)
    with pytest.raises(ValueError, match="precision = 'half'; expected one of float32, bfloat16"):
        tables.measure("ddim", precision="half")


def test_the_same_noise_starts_every_row_and_the_last_step_matters():
    denoiser = load("mnist")
    whole, short = rows_of(Walk("ddim", 10, 0.0), denoiser, 100)
    again, _ = rows_of(Walk("ddim", 10, 0.0), denoiser, 100)
    assert whole[:-1] == again[:-1]  # all but the seconds
    assert short.frechet > 1.05 * whole.frechet and short.evaluations == 9 and not short.last
    other, _ = rows_of(Walk("ddim", 10, 0.0), denoiser, 100, seed=1)
    assert other.frechet != whole.frechet


def test_a_walk_is_the_sampler_that_it_names(monkeypatch):
    seen = {}
    for name in ("ddim", "ddpm", "dpm_solver", "ddim_heun"):
        monkeypatch.setattr(tables, name, lambda *args, name=name, **options: seen.update({name: (args, options)}))
    denoiser = load("mnist")
    for walk in (Walk("ddim", 5, 0.2, "linspace"), Walk("ddpm", 5), Walk("dpm_solver", 5), Walk("heun", 5)):
        walk.run(denoiser, denoiser.process, "x", "cond", "noise")
    assert seen["ddim"][1] == {"cond": "cond", "noise": "noise"} and seen["ddim"][0][4] == 0.2
    assert torch.equal(seen["ddim"][0][3], denoiser.process.times(5, "linspace"))
    assert seen["ddpm"][1] == {"variance": "beta", "cond": "cond", "noise": "noise"}
    assert seen["ddim_heun"][1] == seen["dpm_solver"][1] == {"cond": "cond"}


# ----------------------------------------------------------------------------------- what may be wrong with one


def test_an_unknown_table_is_named(capsys):
    with pytest.raises(FileNotFoundError, match=r"there is no table .*ddpm\.json; `python -m mpl_diffusion measure"):
        load_table("ddpm")
    assert main(["measure", "ddpm"]) == 1 and "no table is called 'ddpm'; there is 'ddim'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda d: d["facts"].pop("weights"), "was measured with other weights than the shipped ones"),
        (lambda d: d["facts"].update(weights="other"), "was measured with other weights than the shipped ones"),
        (lambda d: d.update(format="mpl_diffusion table 1"), "has format 'mpl_diffusion table 1'; this version reads"),
        (lambda d: d["floors"].pop("2000"), "is damaged, or no table of this project"),
        (lambda d: d["rows"][0].pop("frechet"), "is damaged, or no table of this project"),
        (lambda d: d.pop("rows"), "is damaged, or no table of this project"),
    ],
)
def test_a_table_of_other_weights_or_versions_is_refused(change, message, tmp_path):
    found = json.loads((models.WEIGHTS / "ddim.json").read_text())
    change(found)
    (tmp_path / "t.json").write_text(json.dumps(found))
    with pytest.raises(ValueError, match=message):
        load_table(tmp_path / "t.json")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_named(tmp_path, capsys):
    assert main(["measure", "ddim", "--device", "cuda", "--out", str(tmp_path / "t.json")]) == 1
    assert "torch sees no 'cuda' here; leave out --device" in capsys.readouterr().err


def test_half_a_file_is_damaged(tmp_path):
    (tmp_path / "t.json").write_bytes((models.WEIGHTS / "ddim.json").read_bytes()[:1000])
    with pytest.raises(ValueError, match="is damaged"):
        load_table(tmp_path / "t.json")


def test_rows_are_plain_values():
    assert all(
        isinstance(value, (str, int, float, bool, type(None))) for row in load_table("ddim").rows for value in row
    )
    assert Row._fields[:4] == Walk._fields


@pytest.mark.parametrize(
    "make, out, message",
    [
        (lambda: None, "", "out = ''; expected a file whose name ends in .json"),
        (lambda: None, "table", "out = 'table'; expected a file whose name ends in .json"),
        (lambda: os.mkdir("a.json"), "a.json", "a.json is no file; name another --out"),
        (lambda: os.symlink("nowhere", "a.json"), "a.json", "a.json is a link that leads nowhere"),
        (lambda: Path("file").write_text("x"), "file/a.json", "file is a file; expected a folder"),
        (lambda: None, "/proc/no/a.json", "no file can be made there: name another --out"),
    ],
)
def test_a_file_that_cannot_be_one_is_named_before_anything_is_measured(
    make, out, message, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tables, "rows_of", lambda *_: pytest.fail("it measures"))
    make()
    assert main(["measure", "ddim", "--n", "100", "--out", out]) == 1
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1 and not Path("runs").exists()


@pytest.mark.parametrize("text", [b"\xff\xfe", b"[]", b'{"format": "mpl_diffusion table 2", "floors": {}, "rows": []}'])
def test_a_file_that_is_no_table_is_named(text, tmp_path, capsys):
    (tmp_path / "t.json").write_bytes(text)
    assert main(["measure", "ddim", "--n", "100", "--resume", "--out", str(tmp_path / "t.json")]) == 1
    assert "t.json is damaged, or no table of this project; make it again" in capsys.readouterr().err
