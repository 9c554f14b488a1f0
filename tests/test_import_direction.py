"""Imports run downwards only, and the three wings do not know each other."""

import ast
from pathlib import Path

import cache_kd

HOUSE = Path(cache_kd.__file__).parent

# lower number = lower floor; a module may import its own floor's listed friends and anything below
GROUND = {
    "types", "errors", "config", "cache_folder", "progress", "files", "ahead", "outside", "schedule", "device", "disk",
    "threads", "trust", "keyed", "alone", "behind", "environment", "parts", "peak_memory", "shell",
    "shared_pixels", "stopping", "synced_norm",
}  # fmt: skip
WINGS = {"store", "sources", "views", "models", "distill"}
FLOORS = (
    GROUND,
    WINGS,
    {"bucket", "methods", "evaluate", "rendering", "rundir", "proof", "report", "selftest", "targets", "order",
     "view_schedule", "exchange", "stored", "faithfulness", "temperatures", "average", "optimiser", "presets",
     "ranks", "scalars"},
    {"asking", "stream", "waiting", "witness", "composition", "description", "look_page",
     "recipe_description", "sheet_picture", "teacher_config"},
    {"opened", "imported", "inspection", "objective", "planning", "state", "writing"},
    {"siblings"},
    {"ensemble", "material", "train_config"},
    {"provenance"},
    {"recorder", "step", "train_data", "train_faithful", "train_figures", "train_teachers", "train_words", "trial"},
    {"dump", "export_student", "foreign", "foreign_fkd", "look", "lookup", "merge", "plan", "repair", "sheet", "train",
     "verify"},
    {"comparison", "demo"},
    {"compare"},
    {"cli"},
)  # fmt: skip
# within one floor, who may import whom
FRIENDS = {
    "errors": set(), "files": set(), "ahead": set(), "behind": set(), "types": set(), "progress": set(),
    "alone": {"disk", "errors"}, "disk": {"errors"}, "config": {"errors"}, "outside": {"errors"},
    "schedule": {"config"}, "device": {"errors"},
    "parts": set(), "peak_memory": set(), "shell": set(), "trust": {"errors", "outside"}, "keyed": {"types"},
    "environment": {"errors"},
    "shared_pixels": {"types"}, "stopping": set(), "synced_norm": {"errors"},
}  # fmt: skip


def test_every_import_of_the_house_runs_downwards():
    floor_of = {room: number for number, floor in enumerate(FLOORS) for room in floor}
    faults = []
    for file, room in _files():
        for target in _imported_rooms(file):
            if target == room:
                continue
            if floor_of[target] < floor_of[room] or target in FRIENDS.get(room, set()):
                continue
            faults.append(f"{room} ({file.name}) imports {target}")
    assert not faults


def test_every_room_stands_on_a_floor():
    known = set().union(*FLOORS)
    assert {room for _, room in _files()} <= known


def _files():
    for file in sorted(HOUSE.rglob("*.py")):
        parts = file.relative_to(HOUSE).with_suffix("").parts
        if parts[0] not in ("__init__", "fashion_mnist", "cli"):
            yield file, parts[0]
    import cache_kd.cli.main as command_line

    for file in sorted(Path(command_line.__file__).parent.glob("*.py")):
        yield file, "cli"


def _imported_rooms(file):
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("cache_kd."):
            yield node.module.split(".")[1]
        elif isinstance(node, ast.ImportFrom) and node.module == "cache_kd":
            for alias in node.names:
                if alias.name != "__version__":
                    yield alias.name
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("cache_kd."):
                    yield alias.name.split(".")[1]
