"""The benchmark of large stores does what its table says, on a small one."""

from pathlib import Path

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def test_each_step_of_a_store_counts_its_rows(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import store_size

    said = {name: step(tmp_path / "store", 3500) for name, step in store_size.STEPS.items() if name != "append"}
    assert said["write"].startswith("3,500 rows")
    assert said["summary"] == "4 clips"
    assert said["filter"].startswith("0 poses")  # subject 7 is in the eighth clip
    assert said["column"].startswith("1,500 rows")  # clips 0 and 3, the last of which is half as long
    assert said["stream"].startswith("3,500 rows")
    assert store_size.appended(tmp_path / "store", 3500) == "100,000 rows more"
