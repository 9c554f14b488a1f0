"""`kdcache look`: a page with a few samples of a store, and what each method makes of them."""

from pathlib import Path

import click

from cache_kd.cli.options import LOCAL, PLACE, data_option, json_option, on_this_machine, root_option, trust_option


@click.command()
@click.argument("path", type=PLACE)
@click.option("--out", type=LOCAL, default=Path("look.html"), show_default=True, help="The page to write.")
@click.option("--samples", type=click.IntRange(min=1), default=2, show_default=True, help="Of each kind.")
@click.option("--methods", metavar="NAME,NAME", default=None, help="Which methods; left out: all of them.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Which samples are drawn.")
@data_option
@root_option
@trust_option
@json_option
def look(
    path: Path | str,
    out: Path,
    samples: int,
    methods: str | None,
    seed: int,
    data: str | None,
    root: str | None,
    trust: tuple[str, ...],
    as_json: bool,
) -> None:
    """Write a page that shows what each method makes of a few samples of the store at PATH.

    Shown are samples on which the teacher is right, wrong, most confused, and some at random: their views, the
    teacher's probabilities, and for each method its temperature, its target and which classes it pushes up or
    down. A method of your own is named package.module:function, a composition dkd+normkd. With --json the numbers
    go to stdout too. Stores of mixed views are refused: their samples have two labels each.

    \b
    Example:
      kdcache look stores/resnet20 --methods kd,rld,dkd+normkd --out look.html
    """
    from cache_kd.cli.console import Terminal, print_json
    from cache_kd.look import look as run

    seen = run(
        on_this_machine(path, Terminal()),
        out=out,
        samples=samples,
        methods=None if methods is None else [name.strip() for name in methods.split(",")],
        seed=seed,
        data=data,
        root=root,
        trust=trust,
    )
    if as_json:
        print_json(seen.numbers())
        return
    click.echo(f"{out}: {len(seen.samples)} samples, {len(seen.samples[0].methods)} methods. Open it in a browser.")
