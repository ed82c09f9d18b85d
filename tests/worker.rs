//! The worker behind the explorer, without a screen: what comes, in which order, and that it can be stopped.

mod support;

use pymem_tui::analysis::answers::{Direction, ObjectRow, RefCount, RetainedRow};
use pymem_tui::snapshot::Addr;
use pymem_tui::worker::protocol::{Answer, ObjectOrder, Request, RetainedBy, SourceId, Ticket, Update};
use pymem_tui::worker::{self, Handle};
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;
use support::{Target, interpreters};

const PATIENCE: Duration = Duration::from_secs(60);

fn started() -> Handle {
    let interpreter = interpreters().into_iter().next().expect("an interpreter");
    let target = Target::start(&interpreter, "zoo.py", &["--free", "20000"]);
    worker::start(target.capture()).expect("the worker starts")
}

fn next(handle: &Handle) -> Update {
    handle.updates.recv_timeout(PATIENCE).expect("the worker says something")
}

/// Waits for the complete type table.
fn complete(handle: &Handle) -> Vec<(String, Addr, u64)> {
    loop {
        match next(handle) {
            Update::Types { types, complete: true, .. } => {
                return types.types.iter().map(|t| (t.name.clone(), t.address, t.count)).collect();
            }
            Update::Failed { reason, .. } => panic!("{reason}"),
            _ => {}
        }
    }
}

fn ask(handle: &Handle, generation: u64, request: Request) -> Ticket {
    let ticket = Ticket { source: SourceId(0), generation };
    handle.requests.send((ticket, request)).expect("the worker listens");
    ticket
}

/// The last answer to a ticket; a filter's earlier ones are passed over.
fn answer(handle: &Handle, wanted: Ticket) -> Answer {
    loop {
        match next(handle) {
            Update::Answered { ticket, answer: Answer::Objects { done: false, .. } } if ticket == wanted => {}
            Update::Answered { ticket, answer } if ticket == wanted => return answer,
            Update::Refused { ticket, reason } if ticket == wanted => panic!("refused: {reason}"),
            _ => {}
        }
    }
}

fn list(of: Option<Addr>, filter: &str, descending: bool) -> Request {
    let order = ObjectOrder::Size { descending };
    Request::Objects { type_address: of, order, filter: filter.into(), offset: 0, limit: 50 }
}

#[test]
fn the_snapshot_opens_first_and_the_table_is_complete_once() {
    let handle = started();
    let Update::Opened { info, .. } = next(&handle) else { panic!("the head line comes first") };
    assert!(info.python.is_some_and(|p| p.starts_with("3.")));
    let types = complete(&handle);
    assert!(types.iter().any(|(name, _, count)| name == "zoo_freed.Freed" && *count == 7));
    // nothing is asked, so nothing more is said
    assert_eq!(handle.updates.recv_timeout(Duration::from_millis(300)).err(), Some(RecvTimeoutError::Timeout));
}

#[test]
fn questions_asked_during_the_scan_are_answered_after_it() {
    let handle = started();
    let ticket = ask(&handle, 1, list(None, "", true));
    let Answer::Objects { objects, done: true } = answer(&handle, ticket) else { panic!("a list was asked for") };
    let sizes: Vec<u64> = objects.objects.iter().map(|o| o.shallow_bytes).collect();
    assert_eq!(sizes.len(), 50);
    assert!(sizes.is_sorted_by(|a, b| a >= b), "biggest first: {sizes:?}");
}

#[test]
fn filters_and_references_agree_with_the_lists() {
    let handle = started();
    let types = complete(&handle);
    let freed = types.iter().find(|(name, ..)| name == "zoo_freed.Freed").expect("the class is there").1;
    let ticket = ask(&handle, 1, list(Some(freed), "", false));
    let Answer::Objects { objects, .. } = answer(&handle, ticket) else { panic!("a list was asked for") };
    assert_eq!(objects.total, 7);
    let ticket = ask(&handle, 2, list(Some(freed), "!freed", false));
    let Answer::Objects { objects: none, .. } = answer(&handle, ticket) else { panic!("a list was asked for") };
    assert_eq!(none.total, 0, "every line holds the class's name");

    let object = objects.objects[0].address;
    let edges = |direction| Request::Edges { address: object, direction, offset: 0, limit: 100 };
    let ticket = ask(&handle, 3, edges(Direction::Referrers));
    let Answer::Edges(holders) = answer(&handle, ticket) else { panic!("references were asked for") };
    assert!(holders.total > 0 && holders.edges.len() as u64 == holders.total);
    for holder in &holders.edges {
        let back =
            Request::Edges { address: holder.address, direction: Direction::Referents, offset: 0, limit: u64::MAX };
        let ticket = ask(&handle, 4, back);
        let Answer::Edges(held) = answer(&handle, ticket) else { panic!("references were asked for") };
        let same = held.edges.iter().any(|e| e.address == object && e.edge == holder.edge && e.kind == holder.kind);
        assert!(same, "{} says it holds {object} as {}", holder.address, holder.edge);
    }
}

#[test]
fn a_filter_may_be_a_query() {
    let handle = started();
    let types = complete(&handle);
    let dict = types.iter().find(|(name, ..)| name == "dict").expect("there are dicts").1;
    let all = |generation, filter: &str| {
        let order = ObjectOrder::Address { descending: false };
        let type_address = Some(dict);
        let request = Request::Objects { type_address, order, filter: filter.into(), offset: 0, limit: u64::MAX };
        let ticket = ask(&handle, generation, request);
        let Answer::Objects { objects, .. } = answer(&handle, ticket) else { panic!("a list was asked for") };
        objects.objects
    };
    let every = all(1, "");
    let fits = |row: &&ObjectRow| row.shallow_bytes >= 1000 && !matches!(row.refcount, RefCount::Count(1));
    let expected: Vec<ObjectRow> = every.iter().filter(fits).cloned().collect();
    assert!(!expected.is_empty() && expected.len() < every.len());
    assert_eq!(all(2, "size >= 1kB and not refcount = 1"), expected);
    // what needs references and dominators is worked out first
    let held = all(3, "referrers = 1 and retained > 2kB");
    assert!(!held.is_empty() && held.len() < every.len());
    let one = held[0].address;
    let edges = Request::Edges { address: one, direction: Direction::Referrers, offset: 0, limit: 10 };
    let ticket = ask(&handle, 4, edges);
    let Answer::Edges(holders) = answer(&handle, ticket) else { panic!("references were asked for") };
    assert_eq!(holders.total, 1);
}

#[test]
fn what_is_retained_can_be_narrowed() {
    let handle = started();
    complete(&handle);
    let mut generation = 0;
    let mut window = |by, filter: &str, offset, limit| {
        generation += 1;
        let ticket = ask(&handle, generation, Request::Retained { by, filter: filter.into(), offset, limit });
        let Answer::Retained(rows) = answer(&handle, ticket) else { panic!("a list was asked for") };
        (rows.objects, rows.total)
    };
    for by in [RetainedBy::Objects, RetainedBy::Types, RetainedBy::Modules] {
        let (every, _) = window(by, "", 0, u64::MAX);
        let plain = |keeps: &dyn Fn(&RetainedRow) -> bool| -> Vec<RetainedRow> {
            every.iter().filter(|row| keeps(row)).cloned().collect()
        };
        let expected = plain(&|row| row.retained_bytes > 2000 && row.type_name != "dict");
        assert!(expected.len() > 3 && expected.len() < every.len(), "{by:?}: {} rows", expected.len());
        let query = "retained > 2kB and not type = dict";
        assert_eq!(window(by, query, 0, u64::MAX), (expected.clone(), expected.len() as u64), "{by:?}");
        assert_eq!(window(by, query, 1, 2), (expected[1..3].to_vec(), expected.len() as u64), "{by:?}");
        let says = |row: &RetainedRow| format!("{} {}", row.type_name, row.summary).to_lowercase().contains("zoo");
        let expected = plain(&says);
        assert!(!expected.is_empty() && expected.len() < every.len(), "{by:?}: {} rows", expected.len());
        assert_eq!(window(by, "zoo", 0, u64::MAX).0, expected, "{by:?}");
        assert_eq!(window(by, "!zoo", 0, u64::MAX).0, plain(&|row| !says(row)), "{by:?}");
    }
}

#[test]
fn a_newer_question_overtakes_an_older_one() {
    let handle = started();
    complete(&handle);
    for generation in 1..20 {
        ask(&handle, generation, list(None, &format!("nothing has this {generation}"), true));
    }
    let last = ask(&handle, 20, list(None, "zoo", true));
    let Answer::Objects { objects, .. } = answer(&handle, last) else { panic!("a list was asked for") };
    assert!(objects.total > 0);
}

#[test]
fn the_worker_ends_when_nobody_listens() {
    let handle = started();
    let Handle { requests, updates, .. } = handle;
    drop(requests);
    let end = std::time::Instant::now() + PATIENCE;
    while updates.recv_timeout(PATIENCE).is_ok() {
        assert!(std::time::Instant::now() < end, "it still speaks");
    }
}
