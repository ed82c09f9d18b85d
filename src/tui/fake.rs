//! A worker for tests: a heap made up by rule, answered at once and by hand.
//!
//! A client forgot 100,000 futures in a dict. It shares nothing with the real worker but the protocol, so that a
//! mistake there cannot hide here.

mod waits;

use crate::analysis::answers::*;
use crate::progress::Reading;
use crate::snapshot::Addr;
use crate::worker::protocol::*;
use std::sync::Arc;

pub const SOURCE: SourceId = SourceId(0);
const TYPES: u64 = 0x5b4b_0000_0000;
const HEAP: u64 = 0x7600_0000_0000;
/// Every object's place is this big, whatever size it claims.
const PLACE: u64 = 64;

const NAMED: [(&str, u64, u64); 14] = [
    ("bytes", 107_085, 812_000_000),
    ("_asyncio.Future", 100_007, 12_000_840),
    ("dict", 8_123, 9_500_000),
    ("int", 102_422, 2_900_000),
    ("str", 61_404, 4_612_345),
    ("tuple", 22_913, 1_412_000),
    ("function", 9_411, 1_279_896),
    ("code", 7_300, 3_400_000),
    ("app.models.User", 4_000, 192_000),
    ("aiohttp.client_reqrep.connector.pool.interactive.ClientResponse", 310, 44_640),
    ("app.client.Client", 1, 48),
    ("frozenset", 610, 140_000),
    ("weakref.ReferenceType", 3_100, 223_200),
    ("app.überlänge.世界.Größe", 12, 576),
];
const FUTURE: u64 = 1;
const DICT: u64 = 2;
const CLIENT: u64 = 10;

fn object(kind: u64, index: u64) -> Addr {
    Addr(HEAP + (kind << 32) + index * PLACE)
}

pub fn info() -> SnapshotInfo {
    SnapshotInfo {
        pid: Some(4242),
        python: Some("3.12.1".into()),
        implementation: "CPython".into(),
        free_threaded: false,
        interpreters: Some(1),
        captured_at: Some("2026-11-20T22:22:07Z".into()),
        bytes: 1_230_000_000,
        source: "pid 4242".into(),
        program: Some("worker.py".into()),
        pause_ms: Some(18.2),
        resident_bytes: Some(1_300_000_000),
        private_bytes: Some(1_250_000_000),
        copy_on_write_bytes: Some(30_000_000),
    }
}

fn type_row(kind: u64) -> Option<TypeRow> {
    let (name, count, shallow_bytes) = match NAMED.get(kind as usize) {
        Some((name, count, bytes)) => (name.to_string(), *count, *bytes),
        None if kind < 193 => (format!("package.module_{kind}.Class{kind}"), 200 - kind, (200 - kind) * 48),
        None => return None,
    };
    Some(TypeRow { name, address: Addr(TYPES + kind * 0x400), count, shallow_bytes })
}

/// The type table when `percent` of the heap is scanned.
pub fn types(percent: u64) -> Arc<Types> {
    let mut types: Vec<TypeRow> = (0..).map_while(type_row).collect();
    for row in &mut types {
        row.count = row.count * percent / 100;
        row.shallow_bytes = row.shallow_bytes * percent / 100;
    }
    types.retain(|row| row.count > 0);
    types.sort_by_key(|row| std::cmp::Reverse(row.shallow_bytes));
    let total = Total {
        count: types.iter().map(|row| row.count).sum(),
        shallow_bytes: types.iter().map(|row| row.shallow_bytes).sum(),
    };
    Arc::new(Types { types, total })
}

pub fn opened() -> Update {
    Update::Opened { source: SOURCE, info: info(), problems: vec![] }
}

pub fn scanned(percent: u64) -> Vec<Update> {
    let reading = Reading { done: percent, total: 100, objects: 79_000 * percent };
    let complete = percent == 100;
    let (source, problems) = (SOURCE, vec![]);
    vec![
        Update::Progress { source, stage: Stage::Scanning, reading, rate: Some(1.2e9) },
        Update::Types { source, types: types(percent), complete, problems },
    ]
}

/// Kind and index of the object at an address.
fn find(address: Addr) -> Option<(u64, u64)> {
    if let Some(at) = address.0.checked_sub(TYPES).filter(|at| at.is_multiple_of(0x400) && at / 0x400 < 193) {
        return Some((u64::MAX, at / 0x400));
    }
    let at = address.0.checked_sub(HEAP)?;
    let (kind, index) = (at >> 32, (at & 0xffff_ffff) / PLACE);
    (at.is_multiple_of(PLACE) && index < type_row(kind)?.count).then_some((kind, index))
}

fn summary(kind: u64, index: u64) -> String {
    match kind {
        0 => format!("b'\\n\\x9eK\\xac payload {index}' (8.2 kB)"),
        FUTURE if index < 100_000 => format!("<Future finished result=b'\\n\\x9eK\\xac payload {index}'>"),
        FUTURE => "<Future pending>".into(),
        DICT if index == 0 => "dict, 100,000 entries".into(),
        DICT => format!("dict, {} entries", index % 7),
        3 => format!("{}", index as i64 - 5),
        4 => format!("'text number {index}'"),
        8 => format!("<User name='user{index}' mail='user{index}@example.org'>"),
        CLIENT => "<Client host='localhost'>".into(),
        u64::MAX => format!("<class '{}'>", type_row(index).map_or(String::new(), |row| row.name)),
        _ => format!("<{} object>", type_row(kind).map_or(String::new(), |row| row.name)),
    }
}

fn row(kind: u64, index: u64) -> ObjectRow {
    let of =
        type_row(kind).unwrap_or(TypeRow { name: "type".into(), address: Addr(TYPES), count: 1, shallow_bytes: 1096 });
    let address = if kind == u64::MAX { Addr(TYPES + index * 0x400) } else { object(kind, index) };
    ObjectRow {
        retained_bytes: None,
        address,
        type_name: of.name,
        type_address: of.address,
        refcount: if kind == 3 && index < 262 { RefCount::Immortal } else { RefCount::Count(1 + index as i64 % 5) },
        shallow_bytes: if kind == DICT && index == 0 { 5_242_960 } else { of.shallow_bytes / of.count },
        estimated: kind == 9,
        summary: summary(kind, index),
    }
}

fn detail(address: Addr) -> Option<Box<ObjectDetail>> {
    let (kind, index) = find(address)?;
    let row = row(kind, index);
    let edges = edges(address, Direction::Referents, 0, 8);
    let field = |edge: EdgeRow| Field {
        name: edge.edge,
        address: edge.address,
        type_name: edge.type_name,
        summary: edge.summary,
        fields: vec![],
    };
    Some(Box::new(ObjectDetail {
        address,
        type_name: row.type_name,
        type_address: row.type_address,
        refcount: row.refcount,
        shallow_bytes: row.shallow_bytes,
        estimated: row.estimated,
        native_bytes: None,
        properties: Vec::new(),
        interpreter: None,
        reachable: None,
        value: row.summary.clone(),
        summary: row.summary,
        fields: edges.edges.into_iter().map(field).collect(),
        fields_total: edges.total,
        facts: vec![("gc".into(), "tracked".into())],
    }))
}

fn edge(name: &str, kind: u64, index: u64, direction: Direction) -> EdgeRow {
    let row = row(kind, index);
    let children = total(kind, index, direction);
    EdgeRow {
        address: row.address,
        type_name: row.type_name,
        edge: name.into(),
        kind: EdgeKind::Strong,
        summary: row.summary,
        shallow_bytes: row.shallow_bytes,
        children,
    }
}

fn total(kind: u64, index: u64, direction: Direction) -> u64 {
    match (kind, index, direction) {
        (CLIENT, _, Direction::Referents) => 5,
        (DICT, 0, Direction::Referents) => 100_000,
        (FUTURE, _, Direction::Referents) => 2,
        (FUTURE | CLIENT, _, Direction::Referrers) | (DICT, 0, Direction::Referrers) => 1,
        _ => 0,
    }
}

fn edges(address: Addr, direction: Direction, offset: u64, limit: u64) -> Edges {
    let Some((kind, index)) = find(address) else { return Edges::default() };
    let total = total(kind, index, direction);
    let at = |i: u64| match (kind, direction) {
        (CLIENT, Direction::Referents) => match i {
            0 => edge(".host", 4, 0, direction),
            1 => edge(".next_request_id", 3, 100_006, direction),
            2 => edge(".response_futures", DICT, 0, direction),
            3 => EdgeRow { kind: EdgeKind::Weak, ..edge(".parent", 12, 5, direction) },
            _ => EdgeRow { kind: EdgeKind::Guessed, ..edge("+0x28", 9, 3, direction) },
        },
        (DICT, Direction::Referents) => edge(&format!("[{i}]"), FUTURE, i, direction),
        (FUTURE, Direction::Referents) if i == 0 => edge("._result", 0, index, direction),
        (FUTURE, Direction::Referents) => edge("._client", CLIENT, 0, direction),
        (FUTURE, Direction::Referrers) => edge(&format!("[{index}]"), DICT, 0, direction),
        (DICT, Direction::Referrers) => edge(".response_futures", CLIENT, 0, direction),
        _ => edge("._client", FUTURE, 0, direction),
    };
    Edges { edges: (offset..total.min(offset.saturating_add(limit))).map(at).collect(), total, offset }
}

fn objects(of: Option<Addr>, order: ObjectOrder, filter: &str, offset: u64, limit: u64) -> Objects {
    let kinds = match of {
        Some(address) => (address.0 - TYPES) / 0x400..(address.0 - TYPES) / 0x400 + 1,
        None => 0..NAMED.len() as u64,
    };
    let mut all: Vec<(u64, u64)> = Vec::new();
    for kind in kinds {
        all.extend((0..type_row(kind).map_or(0, |row| row.count)).map(|index| (kind, index)));
    }
    all.retain(|(kind, index)| filter.is_empty() || summary(*kind, *index).contains(filter));
    match order {
        ObjectOrder::Address { descending } | ObjectOrder::Size { descending } if descending => all.reverse(),
        ObjectOrder::RefCount { descending: true } => all.sort_by_key(|(_, index)| std::cmp::Reverse(index % 5)),
        _ => {}
    }
    let total = all.len() as u64;
    let window = all.into_iter().skip(offset as usize).take(limit as usize);
    Objects { objects: window.map(|(kind, index)| row(kind, index)).collect(), total, offset }
}

fn word(at: Addr) -> u64 {
    let Some((kind, index)) = find(Addr(at.0 / PLACE * PLACE)) else { return 0 };
    match (at.0 % PLACE / 8, kind) {
        (0, _) => 1 + index % 5,
        (1, _) => TYPES + kind.min(192) * 0x400,
        (2, CLIENT) => object(DICT, 0).0,
        (2, FUTURE) => object(0, index).0,
        (2, _) => index,
        (3, _) => u64::from_le_bytes(*b"some tex"),
        (4, _) => 2.5f64.to_bits(),
        _ => 0,
    }
}

fn hex(address: Addr, start: Addr, len: u64) -> Option<Hex> {
    let kind = address.0.checked_sub(HEAP)? >> 32;
    let low = object(kind, 0);
    let high = object(kind, type_row(kind)?.count);
    if address >= high {
        return None;
    }
    let (start, end) = (start.max(low), Addr(start.0.saturating_add(len)).min(high));
    let mut bytes = Vec::new();
    let mut words = Vec::new();
    let mut at = start;
    while at < end {
        let value = Addr(word(at));
        bytes.extend(value.0.to_le_bytes());
        if let Some((kind, index)) = find(value) {
            words.push(WordRow { address: at, value, object: value, type_name: row(kind, index).type_name });
        }
        at = at + 8;
    }
    let inside = Addr(address.0 / PLACE * PLACE);
    let object = find(inside).map(|(kind, index)| (inside, row(kind, index).type_name, summary(kind, index)));
    Some(Hex { address, start, bytes, words, object, region: "heap · rw-".into(), within: (low, high) })
}

fn search(pattern: &[u8], from: Addr, backwards: bool) -> Option<Addr> {
    let memory = hex(from, Addr(from.0.saturating_sub(1 << 16)), 1 << 17)?;
    let mut hits = memory.bytes.windows(pattern.len()).enumerate().filter(|(_, w)| *w == pattern);
    let at = |i: usize| memory.start + i as u64;
    if backwards {
        hits.map(|(i, _)| at(i)).take_while(|a| *a < from).fold(None, |_, a| Some(a))
    } else {
        hits.find(|(i, _)| at(*i) > from).map(|(i, _)| at(i))
    }
}

fn diff() -> Diff {
    let change = |kind: u64, now: u64| {
        let row = type_row(kind).unwrap_or(TypeRow { name: "?".into(), address: Addr(0), count: 1, shallow_bytes: 1 });
        let each = row.shallow_bytes / row.count;
        let gone = if now < row.count { row.count - now } else { 2 };
        TypeChange {
            name: row.name,
            change: Change::new(
                (row.count, row.shallow_bytes),
                (now, row.shallow_bytes + now * each - row.count * each),
            ),
            survivors: Some(row.count - gone),
            created: Some(now + gone - row.count),
            freed: Some(gone),
            kept: None,
        }
    };
    let types = vec![change(FUTURE, 101_007), change(0, 107_500), change(8, 3_990)];
    let sum = |of: &dyn Fn(&TypeChange) -> u64| types.iter().map(of).sum::<u64>();
    let total = Change::new(
        (sum(&|t| t.change.old_count), sum(&|t| t.change.old_bytes)),
        (sum(&|t| t.change.new_count), sum(&|t| t.change.new_bytes)),
    );
    let created = Some(sum(&|t| t.created.unwrap_or(0)));
    let freed = Some(sum(&|t| t.freed.unwrap_or(0)));
    let unchanged = Unchanged { types: 212, count: 61_000, bytes: 4_400_000 };
    Diff { old: info(), types, unchanged, total, created, freed, ..Diff::default() }
}

fn changes(which: Which) -> Answer {
    let rows = if which == Which::Created { 20..23 } else { 3..5 };
    let rows: Vec<_> = rows
        .map(|i| row(FUTURE, i))
        .map(|row| ChangedObject {
            address: row.address,
            type_name: row.type_name,
            confidence: "exact",
            shallow_bytes: row.shallow_bytes,
            summary: row.summary,
        })
        .collect();
    let total = rows.len() as u64;
    Answer::Changes(rows, total)
}

/// The types of the first table, and those of the same name in the others.
fn beside(tables: &Tables, by: Measure) -> Beside {
    let first = tables.0.iter().flatten().next().cloned().unwrap_or_default();
    let cell = |table: &Types, name: &str| {
        let row = table.types.iter().find(|row| row.name == name);
        let known = |row: &TypeRow| BesideCell {
            count: row.count,
            shallow_bytes: row.shallow_bytes,
            address: Some(row.address),
        };
        row.map(known).unwrap_or_default()
    };
    let row = |of: &TypeRow| {
        let cells: Vec<_> = tables.0.iter().map(|t| t.as_deref().map(|table| cell(table, &of.name))).collect();
        let values: Vec<u64> = cells.iter().flatten().map(|cell| cell.measured(by)).collect();
        let spread = values.iter().max().unwrap_or(&0) - values.iter().min().unwrap_or(&0);
        BesideRow { name: of.name.clone(), cells, spread }
    };
    let mut types: Vec<_> = first.types.iter().map(row).collect();
    types.sort_by_key(|row| std::cmp::Reverse(row.spread));
    Beside { types }
}

/// What the worker says to a request.
pub fn reply(ticket: Ticket, request: &Request) -> Update {
    let answer = match request {
        Request::Objects { type_address, order, filter, offset, limit } => {
            Answer::Objects { objects: objects(*type_address, *order, filter, *offset, *limit), done: true }
        }
        Request::Object { address } => Answer::Object(detail(*address)),
        Request::Edges { address, direction, offset, limit } => {
            Answer::Edges(edges(*address, *direction, *offset, *limit))
        }
        Request::Hex { address, start, len } => Answer::Hex(hex(*address, *start, *len)),
        Request::Find { pattern, from, backwards } => Answer::Found(search(pattern, *from, *backwards)),
        Request::Threads => Answer::Threads(Arc::new(waits::threads())),
        Request::Tasks => Answer::Tasks(Arc::new(waits::tasks())),
        Request::Retained { by, filter, offset, limit } => {
            Answer::Retained(waits::retained(*by, filter, *offset, *limit))
        }
        Request::RetainedTypes => Answer::RetainedTypes(Arc::new(waits::retained_types())),
        Request::Retaining => Answer::Retaining(Arc::new(waits::retaining())),
        Request::Paths { address, .. } => Answer::Paths(Box::new(waits::paths(*address))),
        Request::Memory => Answer::Memory(Arc::new(waits::footprint())),
        Request::Locals { generator } => Answer::Locals(waits::locals(*generator)),
        Request::Findings(aspect) => Answer::Findings(*aspect, waits::findings(*aspect)),
        Request::Scan => return opened(),
        Request::Draw { address, paths } => {
            let what = if *paths { "paths" } else { "around" };
            Answer::Drawn(format!("/tmp/{what}-{address}.svg").into())
        }
        Request::Compare => Answer::Compared(SourceId(1), Arc::new(diff())),
        Request::Changes { which, .. } => changes(*which),
        Request::Beside { tables, by } => Answer::Beside(Arc::new(beside(tables, *by))),
        Request::Save { path } if path.starts_with("/exists") => {
            return Update::Refused { ticket, reason: "/exists is there already".into() };
        }
        Request::Save { path } => Answer::Saved(path.clone()),
    };
    Update::Answered { ticket, answer }
}
