//! The roofline as an SVG picture: what memory and multipliers allow, and what was reached.
//!
//! Both axes are logarithmic. The longer a byte of weights serves, the further to the right a test lies; the roof is read
//! bandwidth times multiply-adds per byte, at most the multipliers' rate.
use std::fmt::{self, Display, Formatter};

/// What is drawn.
#[derive(Debug)]
pub(super) struct Picture {
    pub(super) title: String,
    pub(super) read_gb_per_s: f64,
    pub(super) dot_gmac_per_s: f64,
    pub(super) points: Vec<Point>,
}

/// One test.
#[derive(Clone, Debug)]
pub(super) struct Point {
    pub(super) is_prompt: bool,
    /// Two short lines beside the point.
    pub(super) label: [String; 2],
    /// What it shows if somebody points at it.
    pub(super) tooltip: String,
    pub(super) multiply_adds_per_byte: f64,
    pub(super) gmac_per_s: f64,
}

const WIDTH: f64 = 880.0;
const HEIGHT: f64 = 500.0;
const LEFT: f64 = 72.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 64.0;
const BOTTOM: f64 = 64.0;

const STYLE: &str = "\
text { font: 13px system-ui, sans-serif; fill: #24292f }
.title { font-size: 16px; font-weight: 600 }
.small { font-size: 12px; fill: #57606a }
.back { fill: #ffffff } .grid { stroke: #d8dee4 } .axis { stroke: #57606a; fill: none }
.roof { stroke: #24292f; stroke-width: 2; fill: none } .tg { fill: #0969da } .pp { fill: #bc4c00 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .small { fill: #9198a1 }
.back { fill: #0d1117 } .grid { stroke: #2a313c } .axis { stroke: #9198a1 }
.roof { stroke: #e6edf3 } .tg { fill: #58a6ff } .pp { fill: #f0883e }
}";

/// A logarithmic axis: values become pixels.
struct Axis {
    /// Exponents of two at its ends.
    ends: [i32; 2],
    pixels: [f64; 2],
}

impl Axis {
    /// From the power of two well below `low` to the one well above `high`.
    fn around(low: f64, high: f64, pixels: [f64; 2]) -> Axis {
        let ends = [(low.log2() - 0.5).floor() as i32, (high.log2() + 0.5).ceil() as i32];
        Axis { ends, pixels }
    }

    fn place(&self, value: f64) -> f64 {
        let part = (value.log2() - f64::from(self.ends[0])) / f64::from(self.ends[1] - self.ends[0]);
        self.pixels[0] + part * (self.pixels[1] - self.pixels[0])
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        (self.ends[0]..=self.ends[1]).map(f64::from).map(f64::exp2)
    }

    fn least(&self) -> f64 {
        f64::from(self.ends[0]).exp2()
    }

    fn most(&self) -> f64 {
        f64::from(self.ends[1]).exp2()
    }
}

impl Picture {
    /// Where memory stops being the limit, in multiply-adds per byte.
    fn ridge(&self) -> f64 {
        self.dot_gmac_per_s / self.read_gb_per_s
    }

    fn axes(&self) -> [Axis; 2] {
        let all = |value: fn(&Point) -> f64| self.points.iter().map(value);
        let (mut x, mut y) = ([self.ridge(); 2], [self.dot_gmac_per_s; 2]);
        for value in all(|point| point.multiply_adds_per_byte) {
            x = [x[0].min(value), x[1].max(value)];
        }
        for value in all(|point| point.gmac_per_s) {
            y = [y[0].min(value), y[1].max(value)];
        }
        [Axis::around(x[0], x[1], [LEFT, WIDTH - RIGHT]), Axis::around(y[0], y[1], [HEIGHT - BOTTOM, TOP])]
    }
}

impl Display for Picture {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let title = escaped(&self.title);
        writeln!(f, r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">"#)?;
        writeln!(f, "<title>{title}</title>\n<style>\n{STYLE}\n</style>")?;
        writeln!(f, r#"<rect class="back" width="{WIDTH}" height="{HEIGHT}"/>"#)?;
        writeln!(f, r#"<text class="title" x="{LEFT}" y="30">{title}</text>"#)?;
        let [x, y] = self.axes();
        grid(f, &x, &y)?;
        self.roof(f, &x, &y)?;
        self.points.iter().try_for_each(|point| point.draw(f, &x, &y))?;
        legend(f)?;
        writeln!(f, "</svg>")
    }
}

fn grid(f: &mut Formatter<'_>, x: &Axis, y: &Axis) -> fmt::Result {
    let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
    for tick in x.ticks() {
        let at = x.place(tick);
        writeln!(f, r#"<line class="grid" x1="{at:.1}" y1="{TOP}" x2="{at:.1}" y2="{bottom}"/>"#)?;
        writeln!(f, r#"<text class="small" x="{at:.1}" y="{:.1}" text-anchor="middle">{tick}</text>"#, bottom + 18.0)?;
    }
    for tick in y.ticks() {
        let at = y.place(tick);
        writeln!(f, r#"<line class="grid" x1="{LEFT}" y1="{at:.1}" x2="{right}" y2="{at:.1}"/>"#)?;
        let (beside, middle) = (LEFT - 8.0, at + 4.0);
        writeln!(f, r#"<text class="small" x="{beside}" y="{middle:.1}" text-anchor="end">{tick}</text>"#)?;
    }
    writeln!(f, r#"<path class="axis" d="M{LEFT} {TOP}V{bottom}H{right}"/>"#)?;
    let (middle, below) = ((LEFT + right) / 2.0, HEIGHT - 20.0);
    writeln!(f, r#"<text x="{middle}" y="{below}" text-anchor="middle">multiply-adds per byte of weights</text>"#)?;
    let middle = (TOP + bottom) / 2.0;
    writeln!(
        f,
        r#"<text transform="translate(20 {middle}) rotate(-90)" text-anchor="middle">multiply-adds, 10⁹ per second</text>"#
    )
}

fn legend(f: &mut Formatter<'_>) -> fmt::Result {
    let (x, y) = (WIDTH - RIGHT, 25.0);
    writeln!(f, r#"<rect class="pp" x="{}" y="{}" width="10" height="10"/>"#, x - 60.0, y - 5.0)?;
    writeln!(f, r#"<text x="{}" y="{}">prompt</text>"#, x - 44.0, y + 5.0)?;
    writeln!(f, r#"<circle class="tg" cx="{}" cy="{y}" r="5.5"/>"#, x - 156.0)?;
    writeln!(f, r#"<text x="{}" y="{}">generation</text>"#, x - 144.0, y + 5.0)
}

impl Picture {
    /// The two limits and their names.
    fn roof(&self, f: &mut Formatter<'_>, x: &Axis, y: &Axis) -> fmt::Result {
        let start = x.least().max(y.least() / self.read_gb_per_s);
        let [left, ridge, right] = [start, self.ridge(), x.most()].map(|value| x.place(value));
        let [low, high] = [start * self.read_gb_per_s, self.dot_gmac_per_s].map(|value| y.place(value));
        writeln!(f, r#"<path class="roof" d="M{left:.1} {low:.1}L{ridge:.1} {high:.1}H{right:.1}"/>"#)?;
        let (read, dot) = (self.read_gb_per_s, self.dot_gmac_per_s);
        let angle = (high - low).atan2(ridge - left).to_degrees();
        let (at, above) = ((left + ridge) / 2.0, (low + high) / 2.0);
        writeln!(
            f,
            r#"<text transform="translate({at:.1} {above:.1}) rotate({angle:.1})" y="-9" text-anchor="middle">memory: {read:.1} GB/s</text>"#
        )?;
        let (at, above) = ((ridge + right) / 2.0, high - 9.0);
        writeln!(
            f,
            r#"<text x="{at:.1}" y="{above:.1}" text-anchor="middle">multipliers: {dot:.1} · 10⁹ multiply-adds per second</text>"#
        )
    }
}

impl Point {
    /// A circle with its label at the right, below the slope of the roof; a square with its label below.
    fn draw(&self, f: &mut Formatter<'_>, x: &Axis, y: &Axis) -> fmt::Result {
        let (x, y) = (x.place(self.multiply_adds_per_byte), y.place(self.gmac_per_s));
        let tooltip = escaped(&self.tooltip);
        let [first, second] = [&self.label[0], &self.label[1]].map(|line| escaped(line));
        let (anchor, at, below) = if self.is_prompt {
            let (left, top) = (x - 5.0, y - 5.0);
            writeln!(
                f,
                r#"<rect class="pp" x="{left:.1}" y="{top:.1}" width="10" height="10"><title>{tooltip}</title></rect>"#
            )?;
            ("middle", x, y + 20.0)
        } else {
            writeln!(f, r#"<circle class="tg" cx="{x:.1}" cy="{y:.1}" r="5.5"><title>{tooltip}</title></circle>"#)?;
            ("start", x + 10.0, y + 10.0)
        };
        writeln!(f, r#"<text x="{at:.1}" y="{below:.1}" text-anchor="{anchor}">{first}</text>"#)?;
        let below = below + 15.0;
        writeln!(f, r#"<text class="small" x="{at:.1}" y="{below:.1}" text-anchor="{anchor}">{second}</text>"#)
    }
}

/// Text between tags.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_lie_where_their_numbers_are() {
        let point = |is_prompt, multiply_adds_per_byte, gmac_per_s| {
            let label = ["q4".to_string(), "90 %".to_string()];
            Point { is_prompt, label, tooltip: "<q4>".to_string(), multiply_adds_per_byte, gmac_per_s }
        };
        let points = vec![point(false, 2.0, 64.0), point(true, 1024.0, 128.0)];
        let picture = Picture { title: "a & b".to_string(), read_gb_per_s: 32.0, dot_gmac_per_s: 256.0, points };
        // Ridge at 8; x from 1 to 2048, y from 32 to 512.
        let [x, y] = picture.axes();
        assert_eq!((x.ends, y.ends), ([0, 11], [5, 9]));
        assert_eq!((x.place(1.0), x.place(2048.0), y.place(32.0)), (LEFT, WIDTH - RIGHT, HEIGHT - BOTTOM));
        let svg = picture.to_string();
        let circle = format!(r#"cx="{:.1}" cy="{:.1}""#, x.place(2.0), y.place(64.0));
        assert!(
            svg.contains(&circle) && svg.contains("<title>&lt;q4&gt;</title>") && svg.contains("a &amp; b"),
            "{svg}"
        );
        assert!(svg.contains("memory: 32.0 GB/s") && svg.contains("multipliers: 256.0"));
        assert_eq!(svg.matches("<circle").count() + svg.matches("<rect").count(), 2 + 3);
    }
}
