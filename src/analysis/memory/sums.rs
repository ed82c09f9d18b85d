//! Adding up: the parts of items by row, type, owner and size class. One [`Sums`] for each thread, merged at the end.

use super::kinds::{ROWS, Row};
use crate::cpython::types::TypeId;
use crate::heap::Heap;
use crate::heap::usage::{Item, Manager, PoolFacts, Use, Visitor};
use crate::snapshot::{Addr, Cursor};
use std::collections::HashMap;

/// Blocks of at least this size are told one by one.
const LARGE: u64 = 1 << 20;

/// How much of something there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    /// How many.
    pub count: u64,
    /// Bytes in memory.
    pub resident: u64,
    /// Bytes of address space.
    pub bytes: u64,
}

impl Amount {
    pub fn add(&mut self, other: Amount) {
        self.count = self.count.saturating_add(other.count);
        self.resident = self.resident.saturating_add(other.resident);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

/// What a row is divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// Objects of a type, or blocks that they own.
    Type(TypeId),
    /// Free blocks of a size.
    Class(u64),
    /// A mapping, by its place in the list.
    Mapping(usize),
}

/// A large block.
#[derive(Debug, Clone, Copy)]
pub struct Large {
    pub start: Addr,
    pub end: Addr,
    pub resident: u64,
    pub of: Use,
}

/// Sums over some items.
#[derive(Default)]
pub struct Sums {
    pub rows: [Amount; ROWS],
    pub parts: HashMap<(u8, Part), Amount>,
    /// By item: what of it is in which row.
    pub items: Vec<[u64; ROWS]>,
    pub pools: Vec<PoolFacts>,
    pub large: Vec<Large>,
    /// What only the mapping can tell.
    pub left: Vec<(Addr, Addr)>,
}

impl Sums {
    /// Adds an amount to a row and a part of it.
    pub fn add(&mut self, row: Row, part: Option<Part>, amount: Amount) {
        self.rows[row as usize].add(amount);
        if let Some(part) = part {
            self.parts.entry((row as u8, part)).or_default().add(amount);
        }
    }

    /// Takes the sums of later items in.
    pub fn merge(&mut self, other: Sums) {
        self.rows.iter_mut().zip(other.rows).for_each(|(row, amount)| row.add(amount));
        for (key, amount) in other.parts {
            self.parts.entry(key).or_default().add(amount);
        }
        self.items.extend(other.items);
        self.pools.extend(other.pools);
        self.large.extend(other.large);
        self.left.extend(other.left);
    }
}

/// Adds up one item after the other.
pub struct Adder<'h> {
    heap: &'h Heap,
    cursor: Option<Cursor<'h>>,
    pub sums: Sums,
    manager: Manager,
    /// By type: what most parts are, so that no table is asked for each of them.
    objects: Vec<Amount>,
    touched: Vec<(Row, TypeId)>,
}

impl<'h> Adder<'h> {
    pub fn new(heap: &'h Heap, cursor: Option<Cursor<'h>>) -> Adder<'h> {
        let objects = vec![Amount::default(); heap.types().len()];
        Adder { heap, cursor, sums: Sums::default(), manager: Manager::Unknown, objects, touched: Vec::new() }
    }

    /// Begins an item.
    pub fn begin(&mut self, item: &Item) {
        self.manager = item.manager;
        self.sums.items.push([0; ROWS]);
    }

    /// Ends an item.
    pub fn end(&mut self) {
        for (row, id) in self.touched.drain(..) {
            if let Some(amount) = self.objects.get_mut(id.0 as usize) {
                self.sums.parts.entry((row as u8, Part::Type(id))).or_default().add(std::mem::take(amount));
            }
        }
    }

    fn resident(&mut self, start: Addr, end: Addr) -> u64 {
        self.cursor.as_mut().map_or(0, |c| c.between(start, end))
    }
}

impl Visitor for Adder<'_> {
    #[inline]
    fn part(&mut self, start: Addr, end: Addr, of: Use) {
        let Some(row) = Row::of(self.manager, of) else {
            return match self.sums.left.last_mut() {
                Some(last) if last.1 == start => last.1 = end,
                _ => self.sums.left.push((start, end)),
            };
        };
        let bytes = end.0 - start.0;
        let amount = Amount { count: 1, resident: self.resident(start, end), bytes };
        self.sums.rows[row as usize].add(amount);
        if let Some(here) = self.sums.items.last_mut() {
            let bytes = if self.cursor.is_some() { amount.resident } else { bytes };
            here[row as usize] = here[row as usize].saturating_add(bytes);
        }
        match of {
            // a window's objects are all in one row
            Use::Object(id) => {
                if let Some(sum) = self.objects.get_mut(id.0 as usize) {
                    if sum.count == 0 {
                        self.touched.push((row, id));
                    }
                    sum.add(amount);
                }
            }
            Use::Owned(owner) => {
                if let Some(id) = self.heap.objects().type_of(owner) {
                    self.sums.parts.entry((row as u8, Part::Type(id))).or_default().add(amount);
                }
            }
            Use::Free(size) if size > 0 => {
                self.sums.parts.entry((row as u8, Part::Class(size))).or_default().add(amount);
            }
            _ => {}
        }
        if bytes >= LARGE && matches!(of, Use::Object(_) | Use::Owned(_) | Use::Other) {
            self.sums.large.push(Large { start, end, resident: amount.resident, of });
        }
    }

    fn pool(&mut self, pool: PoolFacts) {
        self.sums.pools.push(pool);
    }
}
