"""Every fault of the table, with small counts; `python -m tests.faults` runs them in full and prints the figures."""

from __future__ import annotations

import random

import pytest

from tests.faults.campaign import CAMPAIGNS, Skipped
from tests.faults.everything import MODULES

assert MODULES


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", sorted(CAMPAIGNS, key=lambda name: CAMPAIGNS[name].number))
def test_the_fault_does_no_harm(name, tmp_path):
    """The campaign's promises hold; its figure is printed."""
    campaign = CAMPAIGNS[name]
    try:
        figure = campaign.run(tmp_path, campaign.small, random.Random(campaign.number))
    except Skipped as reason:
        pytest.skip(str(reason))
    print(f"{campaign.number}. {campaign.fault}: {figure.text}")
