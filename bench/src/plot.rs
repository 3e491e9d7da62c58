//! Line charts as SVG, a few panels beside each other.

use std::fmt::Write as _;

const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 300.0;
/// Where the axes are within a panel.
const LEFT: f64 = 64.0;
const RIGHT: f64 = 360.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 254.0;

/// A chart with its axes.
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) x_name: &'static str,
    pub(crate) y_name: &'static str,
    /// Places on the x axis and what is written there.
    pub(crate) ticks: Vec<(f64, String)>,
    pub(crate) lines: Vec<Line>,
}

/// Points in one colour.
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) color: &'static str,
    pub(crate) style: Style,
    pub(crate) points: Vec<(f64, f64)>,
}

/// How points are drawn.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// Joined, with dots.
    Dots,
    /// Joined by dashes.
    Dashes,
    /// Joined, nothing else.
    Thin,
    /// A short bar for each.
    Bars,
}

/// An SVG document of `panels`, so many in a row.
pub(crate) fn figure(panels: &[Panel], columns: usize) -> String {
    let rows = panels.len().div_ceil(columns.max(1));
    let (width, height) = (scaled(WIDTH, columns.min(panels.len())), scaled(HEIGHT, rows));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for (index, panel) in panels.iter().enumerate() {
        let columns = columns.max(1);
        let (x, y) = (scaled(WIDTH, index % columns), scaled(HEIGHT, index / columns));
        let _ = writeln!(svg, "<g transform=\"translate({x} {y})\">");
        panel.draw(&mut svg);
        svg.push_str("</g>\n");
    }
    svg.push_str("</svg>\n");
    svg
}

impl Panel {
    fn draw(&self, svg: &mut String) {
        let xs = || self.ticks.iter().map(|(x, _)| *x);
        let (first, last) =
            (xs().fold(f64::INFINITY, f64::min), xs().fold(f64::NEG_INFINITY, f64::max));
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let top = round_up(points().map(|(_, y)| *y).fold(0.0, f64::max));
        let span = if last > first { last - first } else { 1.0 };
        let place = |(x, y): (f64, f64)| {
            let inner = LEFT + 18.0 + (x - first) / span * (RIGHT - LEFT - 36.0);
            (inner, BOTTOM - y / top * (BOTTOM - TOP))
        };
        text(
            svg,
            (LEFT, 18.0),
            "start",
            &format!("<tspan font-weight=\"bold\">{}</tspan>", self.title),
        );
        text(svg, (LEFT, 33.0), "start", self.y_name);
        text(svg, (f64::midpoint(LEFT, RIGHT), BOTTOM + 34.0), "middle", self.x_name);
        for fifth in 0..=5 {
            let value = top * f64::from(fifth) / 5.0;
            let (_, y) = place((first, value));
            let _ = writeln!(svg, "<path d=\"M{LEFT} {y:.1}H{RIGHT}\" stroke=\"#ddd\"/>");
            text(svg, (LEFT - 6.0, y + 4.0), "end", &short(value));
        }
        for (x, name) in &self.ticks {
            text(svg, (place((*x, 0.0)).0, BOTTOM + 16.0), "middle", name);
        }
        let mut row = TOP + 6.0;
        for line in &self.lines {
            let points: Vec<_> = line.points.iter().map(|point| place(*point)).collect();
            line.draw(svg, &points);
            let sample = [(RIGHT + 12.0, row), (RIGHT + 22.0, row), (RIGHT + 32.0, row)];
            let middle = sample.get(1..2).unwrap_or_default();
            line.draw(svg, if line.style == Style::Bars { middle } else { &sample });
            text(svg, (RIGHT + 40.0, row + 4.0), "start", &line.name);
            row += 18.0;
        }
    }
}

impl Line {
    fn draw(&self, svg: &mut String, points: &[(f64, f64)]) {
        let color = self.color;
        let dashes = if self.style == Style::Dashes { " stroke-dasharray=\"6 4\"" } else { "" };
        if self.style == Style::Bars {
            for (x, y) in points {
                let from = x - 12.0;
                let _ = writeln!(
                    svg,
                    "<path d=\"M{from:.1} {y:.1}h24\" stroke=\"{color}\" stroke-width=\"3\"/>"
                );
            }
            return;
        }
        let path: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"1.6\"{dashes}/>",
            path.join(" ")
        );
        if self.style == Style::Dots {
            for (x, y) in points {
                let _ =
                    writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{color}\"/>");
            }
        }
    }
}

fn text(svg: &mut String, (x, y): (f64, f64), anchor: &str, text: &str) {
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>");
}

fn scaled(length: f64, times: usize) -> f64 {
    length * crate::number::float_len(times)
}

/// The next number above that reads well in fifths.
fn round_up(most: f64) -> f64 {
    if most <= 0.0 {
        return 1.0;
    }
    let unit = 10_f64.powf(most.log10().floor());
    let steps = [1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 7.5, 10.0];
    steps.into_iter().map(|step| step * unit).find(|top| *top >= most).unwrap_or(most)
}

/// A number on an axis.
fn short(value: f64) -> String {
    match value {
        0.0 => "0".to_owned(),
        big if big >= 10_000.0 => format!("{}k", trimmed(big / 1000.0)),
        other => trimmed(other),
    }
}

fn trimmed(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_numbers_that_read_well() {
        assert_eq!(round_up(0.0), 1.0);
        assert_eq!(round_up(0.52), 0.75);
        assert_eq!(round_up(16_700.0), 20_000.0);
        assert_eq!(short(12_500.0), "12.5k");
        assert_eq!(short(100.0), "100");
    }
}
