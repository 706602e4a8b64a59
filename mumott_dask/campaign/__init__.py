"""Campaigns: many samples, overnight (floor 9).

In: a manifest, which names scans and what to do with them. Out: a folder with a Zarr store and a record for
each sample. Rerun, it does what is missing; what goes wrong with a sample stands in its row and stops nothing
else.
"""

from .catalogue import campaign_table
from .manifest import read_manifest
from .plan import Estimate, Plan, plan_campaign
from .report import campaign_report
from .running import run_campaign
from .samples import Limits, Manifest, Sample
from .serving import serve_campaign

__all__ = [
    "Estimate",
    "Limits",
    "Manifest",
    "Plan",
    "Sample",
    "campaign_report",
    "campaign_table",
    "plan_campaign",
    "read_manifest",
    "run_campaign",
    "serve_campaign",
]
