"""The page can be read: text stands out from its ground, in light and in dark (WCAG 2.2, level AA: 4.5 to 1)."""

from __future__ import annotations

import re

import pytest

from fedactors.dashboard.app import PAGE

TEXT = ("ink", "dim", "accent", "good", "warn", "bad")
CONTRAST_MIN = 4.5


def schemes() -> dict[str, dict[str, str]]:
    """The colours of each scheme, by name."""
    light, dark = re.findall(r":root \{(.*?)\n\s*\}", (PAGE / "style.css").read_text(), re.DOTALL)
    return {name: dict(re.findall(r"--([\w-]+): (#\w+)", text)) for name, text in (("light", light), ("dark", dark))}


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def test_the_measure_is_that_of_the_standard():
    assert contrast("#000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#fff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(scheme):
    colours = schemes()[scheme]
    pairs = [(text, ground) for text in TEXT for ground in ("card", "ground")]
    pairs += [("warn", "warn-ground"), ("bad", "bad-ground")]
    found = {pair: contrast(*(colours[name] for name in pair)) for pair in pairs}
    assert min(found.values()) >= CONTRAST_MIN, found


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_phases_stand_out_from_the_card(scheme):
    colours = schemes()[scheme]
    assert all(contrast(colours[phase], colours["card"]) >= 3 for phase in ("dispatch", "train", "combine", "evaluate"))
