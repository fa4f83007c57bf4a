from conftest import TINY, Command, run_folders


def test_a_run_leaves_its_folder(cnntrain: Command) -> None:
    outcome = cnntrain("train", *TINY)
    assert outcome.code == 0, outcome.err
    assert (run_folders()[0] / "summary.json").exists()
