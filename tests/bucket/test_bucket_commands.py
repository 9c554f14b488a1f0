"""Buckets from the shell: every command that takes a store or a root takes a URL."""

import json
import random
import subprocess
import sys
import time
from multiprocessing import get_context

import pytest
from click.testing import CliRunner

from cache_kd.cli.main import main
from cache_kd.store.reader import Reader

# a server that has imported torch once forks a child in milliseconds
CONTEXT = get_context("forkserver")
CONTEXT.set_forkserver_preload(["cache_kd.cli.main", "cache_kd.bucket.push"])


def kdcache(*arguments, answer=""):
    """Exit code, stdout and stderr of a command in this process."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments], input=answer)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def url(own_store, bucket):
    """The URL of a store that was pushed from the shell."""
    code, out, err = kdcache("push", own_store, f"{bucket}/stores/a")
    assert code == 0
    assert out.startswith(f"{bucket}/stores/a  ")
    assert "60 files, 0.1 MB" in err
    return f"{bucket}/stores/a"


def test_a_student_is_trained_from_a_url(url, home, tmp_path):
    train = ("train", "--store", url, "--student", "resnet8x0.5", "--method", "kd", "--epochs", 1, "--device", "cpu")
    code, _, err = kdcache(*train, "--out", tmp_path / "run")
    assert code == 0
    assert f"{url} -> {home}/stores/a-" in err
    code, _, err = kdcache(*train, "--out", tmp_path / "again")
    assert code == 0
    assert f"{url} is on this machine: {home}/stores/a-" in err


def test_ls_find_and_info_fetch_no_rows(url, bucket, requests):
    assert json.loads(kdcache("ls", bucket, "--json")[1])[0]["path"] == url
    assert "complete" in kdcache("ls", f"{bucket}/", "--complete", "--teacher", "resnet8")[1]
    assert kdcache("ls", bucket, "--partial")[1] == f"No such stores below {bucket}.\n"
    assert kdcache("find", bucket, "--recipe", "cifar")[:2] == (0, f"{url}\n")
    assert kdcache("find", bucket, "--seed", 7)[0] == 1
    out = kdcache("info", url)[1]
    assert "not read; kdcache pull fetches the rows" in out
    assert json.loads(kdcache("info", url, "--json")[1])["complete"] == 1
    assert {name.rpartition("/")[2] for verb, name in requests if verb == "get"} == {"zarr.json"}


def test_commands_that_read_rows_take_a_url(url, tmp_path):
    assert kdcache("verify", url, "--rows", 8, "--device", "cpu")[0] == 0
    assert kdcache("export", url, tmp_path / "a.h5")[0] == 0
    assert kdcache("look", url, "--samples", 1, "--methods", "kd", "--out", tmp_path / "look.html")[0] == 0
    code, out, _ = kdcache("pull", url, tmp_path / "pulled", "--json")
    assert (code, json.loads(out)["files"]) == (0, 47)
    assert Reader.open(tmp_path / "pulled").check(deep=True) == []
    assert "already there" in kdcache("pull", url, tmp_path / "pulled")[1]


def test_rm_and_gc_ask(url, bucket, as_folder, interrupted):
    code, _, err = kdcache("rm", url, "--yes")
    assert code == 1
    assert "pass --force" in err
    assert kdcache("rm", url, "--force", answer="n\n")[0] == 1
    assert kdcache("gc", bucket, "--older-than", "0m")[1] == f"No abandoned dumps below {bucket}.\n"
    (as_folder(url) / "creating.json").write_text("{}")
    content = (as_folder(url) / "zarr.json").read_bytes()
    (as_folder(url) / "zarr.json").unlink()
    assert "stays" in kdcache("gc", bucket, "--older-than", "0m", "--yes")[2]
    (as_folder(url) / "zarr.json").write_bytes(content)
    with interrupted(0, "delete"):
        kdcache("rm", url, "--force", "--yes")
    (as_folder(url) / "zarr.json").unlink()
    code, out, err = kdcache("gc", bucket, "--older-than", "0m", "--dry-run")
    assert "upload not finished" in err
    assert "nothing was deleted" in out
    assert kdcache("gc", bucket, "--older-than", "0m", "--yes")[0] == 0
    assert kdcache("ls", bucket)[1] == f"No stores below {bucket}.\n"


def test_a_path_is_no_url(own_store, tmp_path):
    code, _, err = kdcache("push", own_store, tmp_path)
    assert code == 2
    assert "a bucket is written as s3://" in err


def test_without_the_package_there_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    code, _, err = kdcache("ls", "s3://team/stores")
    assert code == 1
    assert "pip install 'cache_kd[bucket]'" in err
    assert len(err.strip().splitlines()) == 1


def test_a_local_command_does_not_import_it(own_store):
    code = (
        "import sys; from click.testing import CliRunner; from cache_kd.cli.main import main; "
        f"CliRunner().invoke(main, ['ls', {str(own_store)!r}]); print('obstore' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out == "False\n"


@pytest.mark.slow
def test_an_upload_killed_at_random_moments_is_never_seen_half(own_store, bucket, as_folder, files_of):
    draw, kills, seen, whole, there = random.Random(0), 0, set(), files_of(own_store), {}
    url = f"{bucket}/a"
    while kills < 20:
        child = CONTEXT.Process(target=_push, args=(str(own_store), url))
        child.start()
        enough = len(there) + draw.randrange(15)
        while child.is_alive() and sum(1 for file in as_folder(url).rglob("*") if file.is_file()) < enough:
            time.sleep(0.001)
        child.kill()
        child.join()
        # the name of what was being written has a '#' behind file:///, and no listing shows it
        there = {name: content for name, content in files_of(as_folder(url)).items() if "#" not in name}
        if "zarr.json" in there:
            assert {name: content for name, content in there.items() if name != "creating.json"} == whole
            assert kdcache("rm", url, "--force", "--yes")[0] == 0
            there = {}
            continue
        kills += 1
        seen.add(len(there))
        for name in there.keys() & whole.keys():
            assert there[name] == whole[name]
        assert '"fault": "its upload has not finished"' in kdcache("ls", bucket, "--json")[1] or not there
    assert len(seen) > 5  # they died at different objects
    assert kdcache("push", own_store, url)[0] == 0
    assert not whole.items() - files_of(as_folder(url)).items()


def _push(path, url):
    main(["push", path, url])
