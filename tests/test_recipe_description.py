"""What recipes and steps say of themselves is all there, true, and what the classes say."""

import re

import pytest

from cache_kd.errors import ConfigError
from cache_kd.recipe_description import describe_all, explain
from cache_kd.views import make_recipe, recipe_names, step_names
from cache_kd.views.find import MIXES

ALL = {each.name: each for each in describe_all()}


def test_every_recipe_and_step_of_the_folders_is_described():
    assert list(ALL) == recipe_names() + step_names()


@pytest.mark.parametrize("name", ALL)
def test_a_description_is_one_sentence_of_the_docstring_and_every_knob(name):
    described = ALL[name]
    assert 20 < len(described.summary) < 200
    assert " ".join(described.text.split()).startswith(described.summary)
    assert not {"name", "version", "randomness"} & {knob.name for knob in described.knobs}
    assert all(knob.takes and "any" not in knob.takes.split() for knob in described.knobs)


@pytest.mark.parametrize("name", step_names())
def test_a_step_names_its_paper_with_its_year(name):
    assert ALL[name].papers
    assert all(re.search(r"\b(19|20)\d\d", paper) for paper in ALL[name].papers)
    assert len(ALL[name].reference) < 40 * len(ALL[name].papers)


@pytest.mark.parametrize("name", [name for name in ALL if not ALL[name].needs])
def test_defaults_are_those_of_the_json(name):
    manifest = explain(name).manifest
    assert {knob.name: knob.default for knob in ALL[name].knobs}.items() <= manifest.items()


def test_where_a_recipe_runs_is_what_it_says_once_it_is_made():
    assert ALL["cifar"].runs_on == "any device"
    assert ALL["rrc"].runs_on == "CPU only"
    assert ALL["chain"].runs_on == "as what it holds"
    assert [part.runs_on for part in explain("cifar+cutout").parts] == ["any device"] * 3
    assert [part.runs_on for part in explain("rrc+cutout").parts] == ["CPU only", "CPU only", "any device"]


def test_words_are_explained_part_by_part_with_the_json_of_the_whole():
    explained = explain("rrc+cutout")
    assert [part.name for part in explained.parts] == ["chain", "rrc", "cutout"]
    assert make_recipe(explained.manifest) == make_recipe("rrc+cutout")
    assert explain(explained.manifest) == explained


def test_a_knob_says_what_it_takes():
    knobs = {knob.name: knob for knob in ALL["rrc"].knobs}
    assert knobs["size"].takes == "integer 1 to 16000"
    assert knobs["scale"].takes == "2 of number > 0 and <= 1"
    assert '"pillow-bilinear-width-height/1"' in knobs["resize"].takes
    chain = {knob.name: knob for knob in ALL["chain"].knobs}
    assert chain["steps"].takes == "list of step"
    assert chain["steps"].required
    assert explain("chain").manifest is None
    assert ALL["groups"].knobs[0].takes == "list of {recipe: recipe, count: integer >= 1}"
    assert ALL["mixed"].knobs[-2].takes == "number 0 to 1"


@pytest.mark.parametrize("word", MIXES)
def test_a_word_for_mixing_leads_to_what_mixes(word):
    assert [part.name for part in explain(word).parts] == ["mixed"]


def test_an_unknown_word_is_answered_with_a_guess_from_all_words():
    with pytest.raises(ConfigError, match="no recipe or step 'cutuot'; did you mean 'cutout'"):
        explain("cutuot")
    with pytest.raises(ConfigError, match="no step 'cutuot'; did you mean 'cutout'"):
        explain("rrc+cutuot")


@pytest.mark.parametrize("words", ["cutout", "mixup", "cutout+mixup"])
def test_words_begin_with_a_recipe(words):
    with pytest.raises(ConfigError, match=rf"begin with one: cifar\+{words.replace('+', '.')}"):
        make_recipe(words)


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("mixup+cifar", r"begin with one: cifar\+mixup\."),
        ("cutout+mixup+cifar+erasing", r"begin with one: cifar\+cutout\+erasing\+mixup\."),
        ("cifar+mixup+cutout", r"mixing comes last; write cifar\+cutout\+mixup\."),
        ("cifar+rrc", "'cifar' and 'rrc' both make views"),
        ("cifar+mixup+mixup", "'mixup' stands there twice"),
        ('{"name": "rrc"', "is not valid JSON. In a shell, put it into single quotes"),
        ({"nam": "rrc"}, r"""described by its name and its knobs, as \{"name": …\}; found only nam"""),
        ({"name": "chain", "base": "cifar", "steps": "cutout"}, "steps: .*'cutout'"),
    ],
)
def test_words_that_cannot_be_meant_are_answered_with_those_that_can(words, answer):
    with pytest.raises(ConfigError, match=answer):
        make_recipe(words)
