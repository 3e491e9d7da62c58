//! Markdown tables that read well as plain text too.

/// A table; the first `texts` columns hold words, the others numbers.
pub(super) fn table<const N: usize>(texts: usize, head: [&str; N], rows: &[[String; N]]) -> String {
    let head = head.map(str::to_owned);
    let mut widths = [0; N];
    for row in rows.iter().chain([&head]) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width).max(4);
        }
    }
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths).enumerate().map(|(column, (cell, width))| {
            if column < texts { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
    };
    let rule = widths.iter().enumerate().map(|(column, width)| {
        if column < texts { "-".repeat(*width) } else { format!("{}:", "-".repeat(*width - 1)) }
    });
    let rule = format!("| {} |\n", rule.collect::<Vec<_>>().join(" | "));
    let rows: String = rows.iter().map(line).collect();
    format!("{}{rule}{rows}", line(&head))
}

/// A number with `digits` behind the point, or a dash.
pub(super) fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.digits$}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_cells() {
        let rows =
            [["reveal".to_owned(), number(Some(12.345), 1)], ["é".to_owned(), number(None, 0)]];
        let expected =
            "| what   |  req/s |\n| ------ | -----: |\n| reveal |   12.3 |\n| é      |      – |\n";
        assert_eq!(table(1, ["what", " req/s"], &rows), expected);
    }
}
