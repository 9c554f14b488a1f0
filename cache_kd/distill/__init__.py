"""The loss wing: pure functions from student logits, teacher logits and labels to one loss per sample."""

from cache_kd.distill.compose import compose as compose
from cache_kd.distill.compose import lends as lends
from cache_kd.distill.compose import roles_of as roles_of
from cache_kd.distill.compose import with_roles as with_roles
from cache_kd.distill.knob import Published as Published
from cache_kd.distill.loss import hard_loss as hard_loss
from cache_kd.distill.loss import per_sample_loss as per_sample_loss
from cache_kd.distill.loss import training_loss as training_loss
from cache_kd.distill.needs import Needs as Needs
from cache_kd.distill.needs import needs_of as needs_of
from cache_kd.distill.sameness import same as same
from cache_kd.distill.term import Divergence as Divergence
from cache_kd.distill.term import Method as Method
from cache_kd.distill.term import Refine as Refine
from cache_kd.distill.term import Role as Role
from cache_kd.distill.term import Temperature as Temperature
from cache_kd.distill.term import Temperatures as Temperatures
from cache_kd.distill.term import Term as Term
from cache_kd.distill.term import term_loss as term_loss
