//! Answers as text and as JSON.

use super::*;
use crate::analysis::answers::*;
use crate::snapshot::Addr;

fn printed<R: Report>(answer: R, options: Options) -> String {
    let info = SnapshotInfo {
        pid: Some(4242),
        implementation: "CPython".into(),
        source: "memdump/".into(),
        ..Default::default()
    };
    let mut out = Vec::new();
    print(answer, &info, &["one problem".into()], options, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn types(n: u64) -> Types {
    let row = |i: u64| TypeRow {
        name: format!("app.T{i}"),
        address: Addr(0x1000 + i),
        count: 1234 * (n - i),
        shallow_bytes: 99_000,
    };
    Types { types: (0..n).map(row).collect(), total: Total { count: 7_870_000, shallow_bytes: 1_230_000_000 } }
}

#[test]
fn text_is_aligned_and_says_how_many_more() {
    let text = printed(types(60), Options { limit: Some(2), ..Options::default() });
    assert_eq!(
        text,
        "    COUNT     SIZE  SHARE  TYPE\n   74,040  99.0 kB   0.0%  app.T0\n   72,806  99.0 kB   0.0%  app.T1\n\
         7,870,000  1.23 GB         total\n… 58 more (--limit N)\n"
    );
    assert_eq!(printed(types(60), Options::default()).lines().count(), 53);
    assert!(!text.contains('\x1b'));
    assert!(printed(types(1), Options { color: true, ..Options::default() }).contains("\x1b[1m"));
}

#[test]
fn json_is_the_contracts_envelope_and_has_all_rows() {
    let text = printed(types(60), Options { json: true, ..Options::default() });
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["schema"], "pymem-tui.types/1");
    assert_eq!(value["snapshot"]["pid"], 4242);
    assert_eq!(value["snapshot"]["python"], serde_json::Value::Null);
    assert_eq!(value["problems"][0], "one problem");
    assert_eq!(value["types"].as_array().unwrap().len(), 60);
    assert_eq!(value["types"][0]["address"], "0x1000");
    assert_eq!(value["total"]["count"], 7_870_000);
    assert_eq!(text.lines().count(), 1);
    let limited = printed(types(60), Options { json: true, limit: Some(3), ..Options::default() });
    let value: serde_json::Value = serde_json::from_str(&limited).unwrap();
    assert_eq!(value["types"].as_array().unwrap().len(), 3);
}

fn detail() -> ObjectDetail {
    let leaf =
        Field { name: "[0]".into(), address: Addr(3), type_name: "int".into(), summary: "7".into(), fields: vec![] };
    let field = Field {
        name: "['k']".into(),
        address: Addr(2),
        type_name: "list".into(),
        summary: "[7]".into(),
        fields: vec![leaf],
    };
    ObjectDetail {
        address: Addr(0x7f00),
        type_name: "dict".into(),
        type_address: Addr(0x10),
        refcount: RefCount::Immortal,
        shallow_bytes: 1234,
        estimated: false,
        native_bytes: None,
        properties: Vec::new(),
        interpreter: None,
        reachable: None,
        value: "first\n\x1b]52;c;evil\x07\u{9b}\u{202e}😀".into(),
        summary: String::new(),
        fields: vec![field],
        fields_total: 4,
        facts: vec![("gc".into(), "tracked".into())],
    }
}

#[test]
fn an_object_shows_its_fields_and_nothing_a_terminal_acts_on() {
    let text = printed(detail(), Options::default());
    let expected = "dict at 0x7f00, 1,234 bytes, ∞ references\ngc: tracked\nfirst\n\\x1b]52;c;evil\\x07\\x9b\\u{202e}😀\n  \
                    ['k'] = [7]  list 0x2\n    [0] = 7  int 0x3\n… 3 more (--limit N)\n";
    assert_eq!(text, expected);
}

#[test]
fn a_value_in_json_is_exact_and_inert() {
    let text = printed(detail(), Options { json: true, ..Options::default() });
    assert!(text.trim_end().chars().all(crate::text::is_plain), "{text}");
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["value"], detail().value);
    assert_eq!(value["refcount"], serde_json::Value::Null);
    assert_eq!(value["fields"][0]["fields"][0]["type"], "int");
}

#[test]
fn streamed_objects_are_the_same_json() {
    let row = |i: u64| ObjectRow {
        retained_bytes: None,
        address: Addr(i),
        type_name: "int".into(),
        type_address: Addr(9),
        refcount: RefCount::Count(1),
        shallow_bytes: 28,
        estimated: false,
        summary: i.to_string(),
    };
    let windows = [
        Objects { objects: vec![row(1), row(2)], total: 3, offset: 0 },
        Objects { objects: vec![row(3)], total: 3, offset: 2 },
    ];
    for lines in [false, true] {
        let mut out = Vec::new();
        let mut writer = ObjectWriter::begin(&mut out, lines, &SnapshotInfo::default(), &[]).unwrap();
        windows.iter().for_each(|w| writer.rows(w).unwrap());
        writer.end(3).unwrap();
        let text = String::from_utf8(out).unwrap();
        if lines {
            assert_eq!(text.lines().count(), 3);
            assert!(text.lines().all(|l| serde_json::from_str::<serde_json::Value>(l).is_ok()));
            continue;
        }
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&value["schema"], &value["total"]), (&"pymem-tui.objects/1".into(), &3.into()));
        assert_eq!(value["objects"][2]["summary"], "3");
    }
}

#[test]
fn memory_is_shown_with_what_its_words_point_to() {
    let word = WordRow { address: Addr(0x1008), value: Addr(0x7f00), object: Addr(0x7f00), type_name: "dict".into() };
    let mut bytes = b"pymem-tui\x00\x7f\x00\x00\x00\x00\x00".to_vec();
    bytes.extend([0xff; 3]);
    let hex = Hex {
        address: Addr(0x1000),
        start: Addr(0x1000),
        bytes,
        words: vec![word],
        object: None,
        region: "heap".into(),
        within: (Addr(0x1000), Addr(0x1013)),
    };
    let text = printed(hex.clone(), Options::default());
    let expected = "heap\n0x1000  70 79 6d 65 6d 2d 74 75  69 00 7f 00 00 00 00 00  pymem-tui.......  → dict 0x7f00\n\
                    0x1010  ff ff ff                                          ...\n";
    assert_eq!(text, expected);
    let json = printed(hex, Options { json: true, ..Options::default() });
    assert!(json.contains(r#""bytes":"70796d656d2d747569007f0000000000ffffff""#), "{json}");
    assert!(json.contains(r#""type":"dict""#), "{json}");
}

#[test]
fn a_capture_tells_its_pause() {
    let report = CaptureReport {
        path: "dump".into(),
        pid: 42,
        private_bytes: None,
        copy_on_write_bytes: None,
        shared_bytes: None,
        redacted: None,
        mode_reason: None,
        expected_pause_ms: None,
        mode: "plain".into(),
        pause_ms: Some(17.73),
        bytes: 1_230_000_000,
        pages_skipped: 9,
        threads: 23,
        unreadable: vec![],
    };
    assert_eq!(printed(report, Options::default()), "paused 18 ms, 1.23 GB in dump, 23 threads\n");
}
