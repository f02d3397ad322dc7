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

/// The lines of a table, of which the first has the titles. In `width` columns of a terminal those columns of the table
/// are shown for which there is room, and what is too long is cut with an ellipsis.
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

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 3] = [
        Column { title: "ID", least: 5 },
        Column { title: "NAME", least: 6 },
        Column { title: "FROM", least: 10 },
    ];

    fn check(width: Option<u16>, names: &[&str], expected: &[&str]) {
        let row = |name: &&str| vec!["12345".to_owned(), (*name).to_owned(), "somewhere".to_owned()];
        assert_eq!(lines(&COLUMNS, names.iter().map(row).collect(), width), expected, "{width:?}");
    }

    #[test]
    fn without_a_terminal_nothing_is_cut() {
        let long = "x".repeat(300);
        let gap = " ".repeat(296);
        check(
            None,
            &[&long, "bob"],
            &[
                &format!("ID     NAME{gap}  FROM"),
                &format!("12345  {long}  somewhere"),
                &format!("12345  bob{gap}   somewhere"),
            ],
        );
    }

    #[test]
    fn what_is_too_long_is_cut_and_what_has_no_room_left_out() {
        let (long, wide) = ("abcdefghijklmnopqrstuvwxyz", "日本語日本語日本語日本語");
        let names = [long, wide, "bob", "a b c d e f g h i j k"];
        check(
            Some(30),
            &names,
            &[
                "ID     NAME          FROM",
                "12345  abcdefghijk…  somewhere",
                "12345  日本語日本…   somewhere",
                "12345  bob           somewhere",
                "12345  a b c d e f…  somewhere",
            ],
        );
        check(
            Some(20),
            &names,
            &[
                "ID     NAME",
                "12345  abcdefghijkl…",
                "12345  日本語日本語…",
                "12345  bob",
                "12345  a b c d e f …",
            ],
        );
        // An id is of no use if it is not whole.
        check(Some(3), &["bob"], &["ID", "12345"]);
    }

    #[test]
    fn an_empty_table_has_its_titles() {
        check(Some(80), &[], &["ID  NAME  FROM"]);
    }
}
