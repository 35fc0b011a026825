"""Every fault of the table, with small counts; `python -m tests.faults` runs them in full and prints the figures.

Those of delivery run against a real rqlited too, where there is one.
"""

from __future__ import annotations

import random

import pytest

from tests.faults.bodies import Chosen
from tests.faults.campaign import CAMPAIGNS, Skipped
from tests.faults.everything import MODULES

assert MODULES


DELIVERY = ["random_kills", "poison", "lost_answers", "long_outage"]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", sorted(CAMPAIGNS, key=lambda name: CAMPAIGNS[name].number))
def test_the_fault_does_no_harm(name, tmp_path):
    """The campaign's promises hold; its figure is printed."""
    run(name, tmp_path)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", DELIVERY)
def test_the_fault_does_no_harm_with_a_real_rqlited(name, tmp_path, monkeypatch):
    """The campaign's promises hold whichever body of the service there is."""
    monkeypatch.setattr(Chosen, "body", "rqlited")
    run(name, tmp_path)


def run(name, folder):
    campaign = CAMPAIGNS[name]
    try:
        figure = campaign.run(folder, campaign.small, random.Random(campaign.number))
    except Skipped as reason:
        pytest.skip(str(reason))
    print(f"{campaign.number}. {campaign.fault}: {figure.text}")
