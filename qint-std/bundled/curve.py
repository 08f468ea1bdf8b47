"""Draw loss.csv as an SVG: training and held-out loss over the tokens seen.

    python curve.py loss.csv ../../docs/bundled-model-loss.svg

Python's standard library only.
"""

import csv
import math
import sys

WIDTH, HEIGHT = 640, 360
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 16, 48
SERIES = (("training_loss", "training (with dropout)", "#9a6700"), ("held_out_loss", "held out", "#0550ae"))


def main(source, target):
    with open(source, newline="") as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    with open(target, "w") as file:
        file.write(draw(rows))


def draw(rows):
    losses = [row[name] for row in rows for name, _, _ in SERIES]
    low, high = math.floor(min(losses) * 2) / 2, math.ceil(max(losses) * 2) / 2
    right = max(row["tokens"] for row in rows)

    def x(tokens):
        return LEFT + tokens / right * (WIDTH - LEFT - RIGHT)

    def y(loss):
        return TOP + (high - loss) / (high - low) * (HEIGHT - TOP - BOTTOM)

    parts = [f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>']
    parts += [level(y(low + i / 2), low + i / 2) for i in range(int((high - low) * 2) + 1)]
    parts += [mark(x(million * 1e6), million) for million in range(int(right / 1e6) + 1)]
    parts += [text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, "million tokens", "middle")]
    side = text(0, 0, "nats a token", "middle")
    parts += [f'<g transform="translate(14 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)">{side}</g>']
    for place, (name, label, colour) in enumerate(SERIES):
        points = " ".join(f"{x(row['tokens']):.1f},{y(row[name]):.1f}" for row in rows)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(legend(place, label, colour))
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'font-family="sans-serif" font-size="12" fill="#24292f">\n<title>Loss of the bundled model</title>\n'
        f"{body}\n</svg>\n"
    )


def level(y, loss):
    line = f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="#d0d7de"/>'
    return line + text(LEFT - 8, y + 4, f"{loss:.1f}", "end")


def mark(x, million):
    return text(x, HEIGHT - BOTTOM + 18, str(million), "middle")


def legend(place, label, colour):
    y = TOP + 12 + 17 * place
    line = f'<line x1="{WIDTH - 220}" y1="{y}" x2="{WIDTH - 190}" y2="{y}" stroke="{colour}" stroke-width="2"/>'
    return line + text(WIDTH - 182, y + 4, label, "start")


def text(x, y, content, anchor):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{content}</text>'


if __name__ == "__main__":
    main(*sys.argv[1:])
