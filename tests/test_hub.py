"""torch.hub on a folder, and on files by URL."""

import pytest

import tenfold as torch
from tenfold import hub

CONF = '''
dependencies = ["math"]
from shapes import WIDTH
CONSTANT = 3

def _hidden():
    pass

def net(width=WIDTH, pretrained=False):
    """A linear layer."""
    import tenfold
    return tenfold.nn.Linear(2, width)
'''


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "hubconf.py").write_text(CONF)
    (tmp_path / "shapes.py").write_text("WIDTH = 5\n")
    return tmp_path


def test_models_of_a_folder(folder):
    assert hub.load(folder, "net", source="local").out_features == 5
    assert hub.load(str(folder), "net", 7, source="local").out_features == 7
    assert hub.list(folder) == ["net"]
    assert hub.help(folder, "net") == "A linear layer."


def test_what_is_not_there(folder, tmp_path):
    with pytest.raises(RuntimeError, match="nix"):
        hub.load(folder, "nix", source="local")
    with pytest.raises(RuntimeError, match="CONSTANT"):
        hub.load(folder, "CONSTANT", source="local")
    with pytest.raises(ValueError, match="string"):
        hub.load(folder, 3, source="local")
    with pytest.raises(ValueError, match="Unknown source"):
        hub.load(folder, "net", source="elsewhere")
    with pytest.raises(FileNotFoundError, match="hubconf"):
        hub.load(tmp_path / "none", "net", source="local")
    with pytest.raises(NotImplementedError, match="Clone it"):
        hub.load("owner/name", "net")
    (folder / "hubconf.py").write_text('dependencies = ["no_such_package"]\n')
    with pytest.raises(RuntimeError, match="no_such_package"):
        hub.load(folder, "net", source="local")


def test_files_by_url(tmp_path, capsys):
    source, models = tmp_path / "weights.pth", tmp_path / "models"
    torch.save({"w": torch.arange(3)}, source)
    for _ in range(2):  # the second time it is there
        state = hub.load_state_dict_from_url(source.as_uri(), models, progress=False)
        assert state["w"].tolist() == [0, 1, 2]
        source.unlink(missing_ok=True)
    assert capsys.readouterr().err.count("Downloading") == 1
    (tmp_path / "a").write_bytes(b"a")
    with pytest.raises(RuntimeError, match="invalid hash value"):
        hub.download_url_to_file((tmp_path / "a").as_uri(), tmp_path / "b", hash_prefix="00", progress=False)
    assert not (tmp_path / "b").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "models"]  # no half-written file
    hub.download_url_to_file((tmp_path / "a").as_uri(), tmp_path / "b", hash_prefix="ca978112")
    assert (tmp_path / "b").read_bytes() == b"a"


def test_the_folder_of_downloads(monkeypatch, tmp_path):
    monkeypatch.setattr(hub, "_dir", None)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert hub.get_dir() == str(tmp_path / "hub")
    hub.set_dir(tmp_path / "other")
    assert hub.get_dir() == str(tmp_path / "other")
