"""Views: the same picture back, from (recipe, seed, sample, view) and nothing else."""

from cache_kd.views.digest import all_match as all_match
from cache_kd.views.digest import digests as digests
from cache_kd.views.find import make_recipe as make_recipe
from cache_kd.views.find import make_step as make_step
from cache_kd.views.find import recipe_names as recipe_names
from cache_kd.views.find import step_names as step_names
from cache_kd.views.recipe import Album as Album
from cache_kd.views.recipe import Recipe as Recipe
