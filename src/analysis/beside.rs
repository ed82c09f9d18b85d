//! The type tables of several processes beside each other: who has more of what.
//!
//! Types are told apart by their names, since addresses mean nothing across processes. What objects there are is each
//! process's own heap's business.

use super::answers::{Beside, BesideCell, BesideRow, Measure, Types};
use std::collections::HashMap;

/// One row a name, those first in which the processes differ most. `None`: the objects of that process are not known.
pub fn beside(tables: &[Option<&Types>], by: Measure) -> Beside {
    let mut rows: HashMap<&str, Vec<Option<BesideCell>>> = HashMap::new();
    let nothing: Vec<_> = tables.iter().map(|table| table.map(|_| BesideCell::default())).collect();
    for (at, table) in tables.iter().enumerate() {
        // biggest first, so that the first address is that of the biggest
        for row in table.iter().flat_map(|table| &table.types) {
            let cells = rows.entry(&row.name).or_insert_with(|| nothing.clone());
            let Some(Some(cell)) = cells.get_mut(at) else { continue };
            cell.count += row.count;
            cell.shallow_bytes = cell.shallow_bytes.saturating_add(row.shallow_bytes);
            cell.address = cell.address.or(Some(row.address));
        }
    }
    let mut types: Vec<BesideRow> = rows
        .into_iter()
        .map(|(name, cells)| {
            let values = || cells.iter().flatten().map(|cell| cell.measured(by));
            let spread = values().max().unwrap_or(0) - values().min().unwrap_or(0);
            BesideRow { name: name.to_owned(), cells, spread }
        })
        .collect();
    let most = |row: &BesideRow| row.cells.iter().flatten().map(|cell| cell.measured(by)).max();
    types.sort_by(|a, b| b.spread.cmp(&a.spread).then_with(|| most(b).cmp(&most(a))).then_with(|| a.name.cmp(&b.name)));
    Beside { types }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::answers::TypeRow;
    use crate::snapshot::Addr;

    fn table(rows: &[(&str, u64, u64)]) -> Types {
        let row = |(at, (name, count, shallow_bytes)): (usize, &(&str, u64, u64))| TypeRow {
            name: (*name).to_owned(),
            address: Addr(16 * at as u64 + 16),
            count: *count,
            shallow_bytes: *shallow_bytes,
        };
        Types { types: rows.iter().enumerate().map(row).collect(), ..Types::default() }
    }

    #[test]
    fn the_type_that_differs_most_comes_first() {
        let master = table(&[("dict", 100, 9_000), ("str", 50, 5_000), ("app.Job", 1, 48)]);
        let worker = table(&[("dict", 100, 9_000), ("str", 51, 5_050), ("app.Job", 31, 1_000), ("app.Job", 20, 48)]);
        let names = |by| {
            let rows = beside(&[Some(&master), None, Some(&worker)], by).types;
            rows.into_iter().map(|row| (row.name, row.spread)).collect::<Vec<_>>()
        };
        let pairs = |wanted: [(&str, u64); 3]| wanted.map(|(name, spread)| (name.to_owned(), spread)).to_vec();
        assert_eq!(names(Measure::Size), pairs([("app.Job", 1_000), ("str", 50), ("dict", 0)]));
        assert_eq!(names(Measure::Count), pairs([("app.Job", 50), ("str", 1), ("dict", 0)]));
        let rows = beside(&[Some(&master), None, Some(&worker)], Measure::Size).types;
        assert_eq!(rows[0].cells[1], None);
        assert_eq!(rows[0].cells[2], Some(BesideCell { count: 51, shallow_bytes: 1_048, address: Some(Addr(48)) }));
    }

    #[test]
    fn what_one_process_lacks_is_none_there() {
        let (a, b) = (table(&[("list", 3, 200)]), table(&[]));
        let rows = beside(&[Some(&a), Some(&b)], Measure::Size).types;
        assert_eq!((rows[0].spread, rows[0].cells[1]), (200, Some(BesideCell::default())));
    }
}
