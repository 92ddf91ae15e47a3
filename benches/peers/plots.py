"""Plots as SVG, by hand: lines over two axes, each linear or by powers of ten, with the names at the right."""

import math
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 860, 480
LEFT, RIGHT, TOP, BOTTOM = 70, 190, 44, 54
COLOURS = (
    "#b3001b", "#e8743b", "#555555", "#999999", "#1f6fb4", "#2a9d4a", "#8a4fbf", "#a0522d", "#d4a017", "#008b8b",
    "#c71585", "#4b5d16",
)
LABEL_PX = 15


class Axis:
    """One axis: where a value is on it, and where its marks are."""

    def __init__(self, title, values, place, logarithmic):
        self.title, self.place, self.logarithmic = title, place, logarithmic
        low, high = min(values), max(values)
        if logarithmic:
            self.low, self.high = math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9)
            self.high = max(self.high, self.low + 1)
        else:
            self.low, self.high = 0, high or 1

    def at(self, value):
        """Returns the pixel of a value."""
        value = math.log10(value) if self.logarithmic else value
        begin, end = self.place
        return begin + (value - self.low) / (self.high - self.low) * (end - begin)

    def marks(self):
        if self.logarithmic:
            return [10.0**power for power in range(self.low, self.high + 1)]
        step = 10 ** math.floor(math.log10(self.high))
        step = next(step * part for part in (0.1, 0.2, 0.5, 1) if self.high / (step * part) <= 8)
        return [step * number for number in range(math.floor(self.high / step + 1e-9) + 1)]


def spread(wanted, least):
    """Moves label positions apart, in their order, by as little as it takes."""
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    placed = [0.0] * len(wanted)
    above = -math.inf
    for index in order:
        above = placed[index] = max(wanted[index], above + least)
    overshoot = above - (HEIGHT - BOTTOM)
    for index in reversed(order):
        if overshoot <= 0:
            break
        placed[index] -= overshoot
        overshoot = max(0.0, least - min((placed[other] - placed[index] for other in order
                                          if placed[other] > placed[index]), default=least))
    return placed


def number(value):
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def plot(path, title, axes, lines):
    """Writes one plot; `axes` are two pairs of a title and whether it is logarithmic, `lines` map names to points."""
    points = [point for line in lines.values() for point in line]
    (x_title, x_log), (y_title, y_log) = axes
    across = Axis(x_title, [x for x, _ in points], (LEFT, WIDTH - RIGHT), x_log)
    up = Axis(y_title, [y for _, y in points], (HEIGHT - BOTTOM, TOP), y_log)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="13">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="24" font-size="16">{escape(title)}</text>',
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 14}" text-anchor="middle">{escape(x_title)}</text>',
        f'<text transform="translate(18 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle">'
        f"{escape(y_title)}</text>",
    ]
    for value in across.marks():
        x = across.at(value)
        out.append(f'<path d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#e4e4e4"/>')
        out.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{number(value)}</text>')
    for value in up.marks():
        y = up.at(value)
        out.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#e4e4e4"/>')
        out.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{number(value)}</text>')
    ends = [up.at(line[-1][1]) for line in lines.values()]
    for index, ((name, line), label) in enumerate(zip(lines.items(), spread(ends, LABEL_PX))):
        colour = COLOURS[index % len(COLOURS)]
        places = [(across.at(x), up.at(y)) for x, y in line]
        path_data = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        out.append(f'<path d="M{path_data}" fill="none" stroke="{colour}" stroke-width="2"/>')
        out += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
        (last_x, last_y), to_x = places[-1], WIDTH - RIGHT + 14
        out.append(f'<path d="M{last_x:.1f} {last_y:.1f}L{to_x} {label:.1f}" stroke="{colour}" stroke-width="0.5"/>')
        out.append(f'<text x="{to_x + 4}" y="{label + 4:.1f}" fill="{colour}">{escape(name)}</text>')
    out.append("</svg>")
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(out) + "\n")
