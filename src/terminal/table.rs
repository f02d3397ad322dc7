//! A table that fits into a terminal.

use comfy_table::{ColumnConstraint, ContentArrangement, Row, Table, Width, presets::NOTHING};

/// What stands between two columns.
const GAP: u16 = 2;

/// A column; those that matter most come first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    /// What stands above it.
    pub(super) title: &'static str,
    /// How many characters of it have to be seen, if there are as many.
    pub(super) least: u16,
}

/// The lines of a table, of which the first has the titles. In `width` columns of a terminal those columns of the table are
/// shown for which there is room, and what is too long is cut with an ellipsis.
pub(super) fn lines(columns: &[Column], rows: Vec<Vec<String>>, width: Option<u16>) -> Vec<String> {
    let mut table = Table::new();
    table.load_style(NOTHING).set_delimiter('\0').set_header(columns.iter().map(|column| column.title));
    for row in rows {
        let mut row = Row::from(row);
        row.max_height(1);
        table.add_row(row);
    }
    let widest = table.column_max_content_widths();
    let least = |at: usize| widest[at].min(columns[at].least);
    let mut shown = 1;
    let mut used = least(0);
    while shown < columns.len() && width.is_none_or(|width| used + GAP + least(shown) <= width) {
        used = used.saturating_add(GAP + least(shown));
        shown += 1;
    }
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    for (at, column) in table.column_iter_mut().enumerate() {
        let gap = if at + 1 < shown { GAP } else { 0 };
        column.set_padding((0, gap));
        column.set_constraint(match at < shown {
            true => ColumnConstraint::LowerBoundary(Width::Fixed(least(at) + gap)),
            false => ColumnConstraint::Hidden,
        });
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect()
}
