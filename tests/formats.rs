//! The formats that python-memtools documents: a directory without `snapshot.json`, and the single-file stream.
//!
//! The kernel's list of mappings is not in them; the same objects are found all the same.

mod support;

use pymem_tui::heap::Heap;
use pymem_tui::progress::Progress;
use pymem_tui::snapshot::{Addr, Snapshot, save};
use std::sync::Arc;
use support::{Target, interpreters};

fn objects(snapshot: Snapshot) -> Vec<(Addr, String)> {
    assert_eq!(snapshot.problems(), &[] as &[String]);
    let heap = Heap::index(Arc::new(snapshot), &Progress::default()).expect("the snapshot is indexed");
    heap.objects().iter().map(|(_, addr, ty)| (addr, heap.types().get(ty).name.clone())).collect()
}

#[test]
fn what_another_program_wrote_holds_the_same_objects() {
    for interpreter in interpreters() {
        let target = Target::start(&interpreter, "zoo.py", &["--free", "20000"]);
        let snapshot = target.capture();
        let dir = tempfile::tempdir().unwrap();
        let ours = save::write_directory(&snapshot, &dir.path().join("ours"), &Progress::default()).unwrap();
        let stream = dir.path().join("stream");
        save::write_stream(&snapshot, &mut std::fs::File::create(&stream).unwrap()).unwrap();
        let expected = objects(snapshot);
        assert!(expected.len() > 50_000);
        assert_eq!(objects(Snapshot::open(&ours).unwrap()), expected, "{}: our own directory", interpreter.name);

        for entry in std::fs::read_dir(&ours).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let parts: Vec<&str> = name.split('.').collect();
            let is_region = matches!(parts[..], ["mem", start, end, "bin"] if [start, end].iter().all(|a| {
                a.len() == 16 && a.bytes().all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b))
            }));
            assert!(is_region || name == "snapshot.json", "{name} is no name that python-memtools knows");
        }
        std::fs::remove_file(ours.join("snapshot.json")).unwrap();
        assert_eq!(objects(Snapshot::open(&ours).unwrap()), expected, "{}: without snapshot.json", interpreter.name);
        assert_eq!(objects(Snapshot::open(&stream).unwrap()), expected, "{}: as a stream", interpreter.name);
    }
}
